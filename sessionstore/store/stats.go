package store

import (
	"time"
)

// Stats counts sessions.
type Stats struct {
	Total int64 `json:"total"`
	// Active is Total without Expired. If Capped, at most so many are alive.
	Active int64 `json:"active"`
	// Expired are those that the prune has yet to delete. If Capped, there are
	// at least so many.
	Expired int64 `json:"expired"`
	// Exact is false when the counts are estimates.
	Exact bool `json:"exact"`
	// Capped is true when an estimate stopped at so many expired sessions:
	// 10,000 in Postgres. The rest of them is in Active. It means that nothing
	// prunes, or too little.
	Capped bool `json:"capped,omitempty"`
	// LastPruneAt is when a prune last ran, on any instance; zero when none
	// has.
	LastPruneAt time.Time `json:"last_prune_at,omitzero"`
	// CountedAt is the store's clock at the count, the one to compare
	// LastPruneAt with.
	CountedAt time.Time `json:"counted_at"`
}
