package postgres

import (
	"errors"
)

// errKept: the row of a session is there after a DELETE that reached it.
var errKept = errors.New("a statement did not delete a row that no transaction holds:" +
	" look for rules and BEFORE DELETE triggers on the table of the sessions, and drop them")

// keptRows finds rows that a trigger keeps. A session that got a new id
// meanwhile was seen and not deleted either, and is not seen a second time.
type keptRows map[string]struct{}

// check is given one id that a statement saw, and how many rows it deleted. It
// fails if a statement before that deleted none has seen the same row.
func (k *keptRows) check(seen []byte, deleted int) error {
	if len(seen) == 0 || deleted > 0 {
		return nil
	}
	if _, again := (*k)[string(seen)]; again {
		return errKept
	}
	if *k == nil {
		*k = keptRows{}
	}
	(*k)[string(seen)] = struct{}{}
	return nil
}
