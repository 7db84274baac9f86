package store

import (
	"time"
)

// Stats counts sessions.
type Stats struct {
	Total   int64 `json:"total"`
	Active  int64 `json:"active"`
	Expired int64 `json:"expired"`
	// Exact is false when the counts are estimates.
	Exact bool `json:"exact"`
	// LastPruneAt is when a prune last ran, on any instance; zero when none
	// has.
	LastPruneAt time.Time `json:"last_prune_at,omitzero"`
	// CountedAt is the store's clock at the count, the one to compare
	// LastPruneAt with.
	CountedAt time.Time `json:"counted_at"`
}
