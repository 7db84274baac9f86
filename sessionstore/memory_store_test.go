package sessionstore_test

import (
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, storetest.Subject{
		New: func(_ *testing.T, e sessionstore.Expiry) sessionstore.Store { return sessionstore.NewMemory(e, 0) },
		Age: func(_ *testing.T, s sessionstore.Store, id sessionstore.ID, d time.Duration) {
			s.(*sessionstore.Memory).Age(id, d)
		},
	})
}
