package cached

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A flood of sessions costs the filter two generations of memory, not more.
func TestTheTouchFilterIsBounded(t *testing.T) {
	t.Parallel()
	f := touchFilter{interval: time.Minute}
	batch := make([]store.Touch, 1000)
	for n := range 3 * maxTouched / len(batch) {
		for i := range batch {
			binary.BigEndian.PutUint64(batch[i].ID[:], uint64(n*len(batch)+i+1))
		}
		f.add(batch, coherence.Instant{})
		if len(f.current) > maxTouched || len(f.previous) > maxTouched {
			t.Fatalf("it has %d and %d sessions", len(f.current), len(f.previous))
		}
	}
	if due := f.due(batch, coherence.Instant{}); len(due) != 0 {
		t.Errorf("%d sessions that were just touched are due", len(due))
	}
}

func TestALocalTombstoneIsBoundedByDefault(t *testing.T) {
	t.Parallel()
	if got := newLocalTombstones(coherence.Policy{}).limit; got != maxLocalTombstones {
		t.Errorf("the limit is %d", got)
	}
}
