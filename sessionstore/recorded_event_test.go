package sessionstore

import (
	"errors"
	"testing"
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
