package sessionstore

import (
	"cmp"

	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// bars reports whether the row under the id of an emergency's cookie is one
// that bar created. A session that was restored was rotated, so its version is
// higher.
func bars(r *store.Record) bool { return !r.Emergency && isBar(r) }

// isBar reports whether bar created a row, be it in the memory of this
// instance, where it bars nothing.
func isBar(r *store.Record) bool {
	values, _ := object.Decode(r.Data)
	return r.Version == 1 && cmp.Or(r.UserID, r.PendingUserID) == "" && len(values) == 0
}
