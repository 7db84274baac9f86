package sessionstore

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A row's kind is the name of the event, and the other way round.
func TestRecordedKindsAreThoseOfEvents(t *testing.T) {
	for name, kind := range recordedKinds {
		if kind.String() != name {
			t.Errorf("rows %q are %v", name, kind)
		}
	}
	if kind := kindNamed("a later kind"); kind != -1 || kind.String() != "unknown event" {
		t.Errorf("a kind of a later version is %d", kind)
	}
}

func TestARecordedEventHasEachFieldOfItsRow(t *testing.T) {
	t.Parallel()
	row := fieldtest.Filled[postgres.Recorded](t)
	e := recordedEvent(&row)
	fieldtest.Carried(t, "an event", row, e, fieldtest.Exempt{
		"Kind": "by name", "LoginID": "as text", "Counted": "Finished has it",
	})
	fieldtest.Set(t, "an event", e, nil)
}

// A restore is no request: a login that it refuses has the client of its
// session.
func TestARefusedRestoreHasTheClientOfItsSession(t *testing.T) {
	t.Parallel()
	var got Event
	q := newEvents(func(_ context.Context, e Event) { got = e }, slog.New(slog.DiscardHandler))
	rec := fieldtest.Filled[store.Record](t)
	outageEvents{q}.LoginRefused(&rec, ErrRevoked)
	if err := q.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got.Kind != EventLoginRefused || got.IP != rec.IP || got.UserAgent != rec.UserAgent {
		t.Errorf("%v from %v, %q", got.Kind, got.IP, got.UserAgent)
	}
}

// Only Postgres records events.
func TestEventsNeedPostgres(t *testing.T) {
	m, err := NewWithStore(NewMemory(Config{}.Expiry(), 0), Config{Secrets: []Secret{secretA}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Events(t.Context(), ""); !errors.Is(err, errNoPostgres) {
		t.Errorf("Events: %v", err)
	}
}
