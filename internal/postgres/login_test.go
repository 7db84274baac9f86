package postgres

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A key is of one purpose and one value.
func TestMarkKeysDoNotCollide(t *testing.T) {
	seen := map[markKey]string{everyone: "everyone"}
	for _, c := range [][2]string{
		{"user", ""},
		{"user", "all"},
		{"use", "rall"},
		{"user", "ada"},
		{"usera", "da"},
		{"", "userada"},
		{"user", "ada\x00"},
		{"all", "ada"},
		{"user", "\x00\x00\x00\x03ada"},
	} {
		key := keyOf(c[0], c[1])
		if other, taken := seen[key]; taken {
			t.Errorf("%q has the key of %q", c, other)
		}
		seen[key] = c[0] + " " + c[1]
	}
}

// The answer of a standby is none, also with the marks that it has.
func TestALookAtAStandbyIsNoAnswer(t *testing.T) {
	now := time.Now()
	for what, rows := range map[string][]*gen.MarkLookRow{
		"no row":  {},
		"no mark": {{AskedAt: now, Standby: true}},
		"with a mark": {{
			AskedAt: now, Standby: true, ID: make([]byte, 16), Key: everyone[:],
			RevokedAt: pgtype.Timestamptz{Time: now, Valid: true},
		}},
	} {
		if _, err := fromPrimary(rows, nil); !errors.Is(err, errStandby) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// One statement answers many logins, each by its own age, user and marks. The
// age is taken when the answer came.
func TestALookAnswersManyLogins(t *testing.T) { synctest.Test(t, lookForMany) }

func lookForMany(t *testing.T) {
	asked := time.Now().Add(time.Hour) // of Postgres's clock
	mark := func(key markKey, id byte, ago time.Duration) *gen.MarkLookRow {
		marked := store.MarkID{id}
		return &gen.MarkLookRow{
			AskedAt: asked, ID: marked[:], Key: key[:],
			RevokedAt: pgtype.Timestamptz{Time: asked.Add(-ago), Valid: true},
		}
	}
	began := func(ago time.Duration, own ...store.MarkID) store.Began {
		return store.BeganHere(time.Now().Add(-ago), own...)
	}
	const slow = 50 * time.Millisecond
	tag, ended := store.NewTag("org", "1"), store.NewTag("org", "2")
	ada := func(b store.Began) login { return login{userID: "ada", began: b} }
	eve := func(b store.Began) login { return login{userID: "eve", began: b} }
	zoe := func(b store.Began, tags ...store.Tag) login {
		return login{userID: "zoe", tags: tags, began: b}
	}
	calls := []login{
		ada(began(time.Minute)),                               // before her mark
		ada(began(time.Second)),                               // after it
		ada(began(time.Minute, store.MarkID{1})),              // it is her own
		ada(began(time.Hour, store.MarkID{1})),                // but everyone's is not
		eve(began(time.Minute)),                               // has none
		eve(began(time.Hour)),                                 // everyone's
		ada(store.BeganAt(asked.Add(-time.Second))),           // by Postgres's clock
		ada(store.BeganAt(asked.Add(-time.Minute))),           // the same
		{userID: "bob", began: began(2*time.Second - slow/2)}, // older than the mark by then
		zoe(store.BeganAt(time.Time{})),                       // unknown
		zoe(began(time.Minute), tag, ended),                   // its tag's
		zoe(began(time.Minute), tag),                          // the tag has none
		zoe(began(time.Second), ended),                        // after it
	}
	want := []bool{
		true, false, false, true, false, true, false, true, true, true, true, false, false,
	}
	var got *gen.MarkLookParams
	results, err := look(calls, func(arg *gen.MarkLookParams) ([]*gen.MarkLookRow, error) {
		got = arg
		time.Sleep(slow) // the answer takes its time
		return []*gen.MarkLookRow{
			mark(userKey("ada"), 1, 30*time.Second), mark(everyone, 2, 30*time.Minute),
			mark(userKey("bob"), 3, 2*time.Second-slow/4),
			mark(tagKey(ended), 4, 30*time.Second),
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		if r := results[i]; r.Err != nil || r.Value != want[i] {
			t.Errorf("call %d: refused %v, %v, want %v", i, r.Value, r.Err, want[i])
		}
	}
	if len(got.Keys) != 7 || got.Age < time.Hour || !got.Since.IsZero() {
		t.Errorf("asked for %d keys, an age of %v, since %v", len(got.Keys), got.Age, got.Since)
	}
}

func TestEncodeMethods(t *testing.T) {
	if got := encodeMethods(nil); got != "" {
		t.Errorf("no methods: %q", got)
	}
	got := encodeMethods([]store.Method{
		{Name: "password", Level: 1},
		{Name: "totp", Level: 2, At: time.Now().Add(-time.Hour)},
		{Name: "passkey", Level: 3, At: time.Now().Add(time.Hour)}, // after the clock was set back
	})
	const now = "2026-11-30T12:00:00.000001+00:00"
	all := store.MethodsFromJSON(strings.ReplaceAll(got, "@", now)).All()
	at, _ := time.Parse(time.RFC3339, now)
	if len(all) != 3 || !all[1].At.Equal(at) || !all[2].At.Equal(at) || all[2].Level != 3 {
		t.Fatalf("%s: %v", got, all)
	}
	if age := at.Sub(all[0].At); age < time.Hour || age > time.Hour+time.Minute {
		t.Errorf("%s: %v old, want an hour", got, age)
	}
}
