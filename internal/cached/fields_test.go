package cached

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// lastEntry is a cache that has the last entry.
type lastEntry struct {
	Cache
	entry cache.Entry
}

func (c *lastEntry) Fill(
	_ context.Context, _ cache.ID, e cache.Entry, _ time.Duration,
) (bool, error) {
	c.entry = e
	return true, nil
}

func (c *lastEntry) Get(context.Context, cache.ID) (cache.Entry, error) { return c.entry, nil }

func TestACachedRecordHasEachField(t *testing.T) {
	t.Parallel()
	rec := fieldtest.Filled[store.Record](t)
	s := sealed{&lastEntry{}}
	if _, err := s.put(t.Context(), &rec, time.Minute); err != nil {
		t.Fatal(err)
	}
	got, answer := s.get(t.Context(), rec.ID)
	if got.ID != rec.ID {
		t.Fatalf("answer %v", answer)
	}
	fieldtest.Carried(t, "a cached record", rec, got, fieldtest.Exempt{
		"AnsweredAt": "set when an entry is served",
		"MinVersion": "of one client",
		"Emergency":  "a session of an emergency is in no cache",
		"Began":      "Postgres does not return it",
		"Tags":       "Postgres does not return them",
	})
}

// A process of the version before must not read entries of another format: they
// are a miss, and Postgres is asked.
func TestTheRecordFormatChangesWithTheEncoding(t *testing.T) {
	t.Parallel()
	const known = "2 dd7c"
	rec := fieldtest.Filled[store.Record](t)
	sum := sha256.Sum256(encodeRecord(&rec)[1:])
	if got := fmt.Sprintf("%d %x", recordFormat, sum[:2]); got != known {
		t.Errorf("recordFormat and the sum of an encoded record are %q, and were %q: "+
			"if the encoding changed, increment recordFormat; then note both here", got, known)
	}
}
