package sessionstore

import (
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// bars reports whether the row under the id of an emergency's cookie is one
// that bar created. A session that was restored was rotated, so its version is
// higher.
func bars(r *store.Record) bool {
	values, _ := object.Decode(r.Data)
	return r.Version == 1 && !r.Emergency && r.UserID == "" && len(values) == 0
}
