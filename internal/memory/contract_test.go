package memory_test

import (
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/memorytest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Subject{
		New: func(_ *testing.T, e store.Expiry) store.Store {
			return memory.New(e, memory.Options{})
		},
		Age: func(_ *testing.T, s store.Store, id store.ID, d time.Duration) {
			memorytest.Age(s.(*memory.Store), id, d)
		},
	})
}
