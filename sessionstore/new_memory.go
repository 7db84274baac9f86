package sessionstore

import (
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// NewMemory returns an empty store that keeps sessions in this process, for
// [NewWithStore] in tests and tools. [Config.Expiry] is its first argument. It
// holds at most limit sessions; 100,000 if limit is 0 or less. A further Create
// returns [ErrUnavailable].
func NewMemory(expiry store.Expiry, limit int) store.Store {
	return memory.New(expiry, memory.Options{Sessions: limit})
}
