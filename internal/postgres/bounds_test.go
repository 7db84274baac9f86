package postgres

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A row of events has room for so much of a text that the application gives.
func TestTheTextOfANoteIsCut(t *testing.T) {
	t.Parallel()
	for _, most := range []int{maxNote, maxUserAgent} {
		if got := noteText(strings.Repeat("x", 2*maxNote), most); len(got.String) != most {
			t.Errorf("%d bytes, want %d", len(got.String), most)
		}
	}
	if got := noteText("a\x00b\xff", maxNote); got.String != "ab" {
		t.Errorf("%q", got.String)
	}
	if noteText("", maxNote).Valid {
		t.Error("an empty text is no null")
	}
}

// To Postgres, a key <> ALL (NULL) is null, and so no mark would refuse.
func TestALoginWithoutOwnMarksSendsAnEmptyArray(t *testing.T) {
	t.Parallel()
	var a loginArgs
	a.add("ann", &store.Began{}, store.LoginID{}, nil)
	if a.own == nil {
		t.Error("own marks are null")
	}
}

// A look returns the marks of an age, so one that took longer than its slack
// has left out those between.
func TestALookThatTakesTooLongDecidesNothing(t *testing.T) {
	for took, want := range map[time.Duration]error{
		lookSlack - time.Second: nil, lookSlack + time.Second: errLookLate,
	} {
		synctest.Test(t, func(t *testing.T) {
			calls := []login{{userID: "ann", began: store.BeganHere(time.Now())}}
			results, err := look(calls, func(*gen.MarkLookParams) ([]*gen.MarkLookRow, error) {
				time.Sleep(took)
				return []*gen.MarkLookRow{{AskedAt: time.Now()}}, nil
			})
			if err != nil || !errors.Is(results[0].Err, want) {
				t.Errorf("after %s: %v, %v, want %v", took, results[0].Err, err, want)
			}
		})
	}
}

// A statement over all sessions of a user has more time than a call.
func TestASweepHasMinutes(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{
		time.Second: sweepTimeout, 2 * sweepTimeout: 2 * sweepTimeout,
	} {
		b := &base{exec: &executor{timeout: timeout}}
		if got := b.sweepTime(); got != want {
			t.Errorf("with a timeout of %s: %s, want %s", timeout, got, want)
		}
	}
}
