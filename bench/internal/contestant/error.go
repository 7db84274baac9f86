package contestant

import "errors"

var (
	errMissing = errors.New("the session was not found")
	errOther   = errors.New("another session was loaded")
)
