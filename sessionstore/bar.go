package sessionstore

import (
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// bars reports whether the session of an emergency's cookie is a row of bar. A
// session that was restored has had a Rotate, so its version is higher.
func bars(r *store.Record) bool {
	values, _ := object.Decode(r.Data)
	return r.Version == 1 && !r.Emergency && r.UserID == "" && len(values) == 0
}
