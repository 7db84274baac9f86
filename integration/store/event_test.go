package store_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// recording is a crew whose store records events.
type recording struct{ *crew }

func hireRecording(t *testing.T) *recording {
	t.Helper()
	c := hire(t)
	c.store = postgres.New(c.pool, daily, timeout, postgres.WithEvents(true))
	return &recording{c}
}

// login makes a session of a user.
func (r *recording) login(userID string) store.ID {
	r.t.Helper()
	id := testkit.NewID()
	_, err := r.store.Create(r.t.Context(), store.Draft{
		ID: id, UserID: userID, LoginID: store.LoginID{1, 15: 2},
		Began:   store.BeganHere(time.Now()),
		Methods: []store.Method{{Name: "password", Level: 1}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// settled waits until no transaction holds up the events. Those of other tests
// do, in other databases.
func (r *recording) settled() {
	testkit.Eventually(r.t, "all transactions before the events end", func() bool {
		return pgtest.One[bool](r.t, r.admin, `SELECT NOT EXISTS (SELECT FROM pgsession.events
			WHERE tx >= pg_snapshot_xmin(pg_current_snapshot())
				AND tx < pg_snapshot_xmax(pg_current_snapshot()))`)
	})
}

// read returns all events behind a cursor, and the cursor of the next ones.
func (r *recording) read(after string) ([]postgres.Recorded, string) {
	r.t.Helper()
	r.settled()
	var all []postgres.Recorded
	for {
		page, next, err := r.store.Events(r.t.Context(), after)
		if err != nil {
			r.t.Fatalf("Events: %v", err)
		}
		if len(page) == 0 {
			return all, after
		}
		all, after = append(all, page...), next
	}
}

// want checks the events: each a kind, the user, the reason and the count.
func (r *recording) want(after string, want ...string) string {
	r.t.Helper()
	events, next := r.read(after)
	got := make([]string, len(events))
	for i, e := range events {
		got[i] = strings.Trim(fmt.Sprintf("%s, %s, %s", e.Kind, e.UserID, e.Reason), ", ")
		if e.Counted {
			got[i] += fmt.Sprintf(", %d", e.Count)
		}
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return next
}

func because(t *testing.T, reason string) context.Context {
	return store.WithNote(t.Context(), store.Note{Reason: reason, Actor: "support", Detail: "note"})
}

// Each change of a login is a row, and any other call is none.
func TestEventsOfOneSession(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	id := r.login("ada")
	if _, err := r.store.Save(t.Context(), id, setting("a", 1)); err != nil {
		t.Fatal(err)
	}
	next := testkit.NewID()
	_, err := r.store.Rotate(t.Context(), id, next, store.Change{
		StepUp: true, LoginID: store.LoginID{1, 15: 2},
		Methods: []store.Method{{Name: "totp", Level: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	visitor := r.sessions(1)[0]
	pending, completed := testkit.NewID(), testkit.NewID()
	_, err = r.store.Rotate(t.Context(), visitor, pending, store.Change{
		PendingUserID: "bob", Began: store.BeganHere(time.Now()),
		Methods: []store.Method{{Name: "password", Level: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.store.Rotate(t.Context(), pending, completed, store.Change{
		UserID: "bob", Completes: true, LoginID: store.LoginID{3},
		Methods: []store.Method{{Name: "passkey", Level: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Delete(because(t, "logout"), next); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Delete(because(t, "logout"), next); err != nil { // a lost reply
		t.Fatal(err)
	}
	if _, err := r.store.Delete(because(t, "logout"), r.sessions(1)[0]); err != nil {
		t.Fatal(err)
	}
	r.want("", "session login, ada", "session stepped up, ada", "session login began, bob",
		"session login, bob", "session logout, ada, logout")
	events, _ := r.read("")
	login, up, end := events[0], events[1], events[4]
	if login.Handle != id.Handle() || login.Level != 1 || login.LoginID != up.LoginID ||
		!slices.Equal(login.Methods, []string{"password"}) {
		t.Errorf("login: %+v", login)
	}
	if up.Handle != next.Handle() || up.Level != 2 ||
		!slices.Equal(up.Methods, []string{"password", "totp"}) {
		t.Errorf("step-up: %+v", up)
	}
	if end.Handle != next.Handle() || end.Actor != "support" || end.Detail != "note" ||
		end.LoginID != up.LoginID {
		t.Errorf("logout: %+v", end)
	}
}

// Each form of a statement writes where its request came from, as the note of
// the call says it, and not where the session was used before.
func TestEventsHaveTheClientOfTheirCall(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	from := store.Client{IP: netip.MustParseAddr("2001:db8::7"), UserAgent: "Test/1"}
	before := store.Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "before"}
	ctx := store.WithNote(t.Context(), store.Note{Client: from})
	login := func(c store.Client, tags ...store.Tag) store.ID {
		id := testkit.NewID()
		_, err := r.store.Create(ctx, store.Draft{
			ID: id, UserID: "ada", LoginID: store.LoginID{1}, Tags: tags, Client: c,
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	rotate := func(old store.ID, c store.Change) store.ID {
		id := testkit.NewID()
		if _, err := r.store.Rotate(ctx, old, id, c); err != nil {
			t.Fatal(err)
		}
		return id
	}
	visitor := func() store.ID {
		id := testkit.NewID()
		if _, err := r.store.Create(ctx, store.Draft{ID: id, Client: before}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	revoke := func(sel store.Selection) {
		t.Helper()
		_, _, err := r.store.Revoke(ctx, sel)
		check(err)
	}

	one, tagged := login(before), login(before, store.NewTag("sid", "1"))
	one = rotate(one, store.Change{StepUp: true, LoginID: store.LoginID{1}, Client: from})
	_, err := r.store.Save(ctx, visitor(), store.Change{UserID: "bob", Client: from})
	check(err)
	rotate(visitor(), store.Change{UserID: "bob", Client: from})
	pending := rotate(visitor(), store.Change{PendingUserID: "bob", Client: from})
	rotate(pending, store.Change{UserID: "bob", Completes: true})
	_, err = r.store.Delete(ctx, one)
	check(err)
	release, done := r.lock(tagged), make(chan error, 1)
	go func() {
		_, err := r.store.Delete(ctx, tagged)
		done <- err
	}()
	testkit.Eventually(t, "the logout waits", func() bool {
		return pgtest.One[int](t, r.admin, waiting) == 1
	})
	release()
	check(<-done)
	revoke(store.Selection{UserID: "ada", Handle: login(before).Handle()})
	revoke(store.Selection{UserID: "ada"})
	check(pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		sel := store.Selection{UserID: "bob", Mark: store.NewMarkID()}
		_, _, err := r.store.RevokeIn(ctx, tx, sel)
		return err
	}))
	events, after := r.read("")
	kinds := map[string]int{}
	for _, e := range events {
		kinds[e.Kind]++
		if e.Client != from {
			t.Errorf("%s of %s: from %+v", e.Kind, e.UserID, e.Client)
		}
	}
	want := map[string]int{
		"session login": 6, "session stepped up": 1, "session login began": 1,
		"session logout": 2, "sessions revoked": 4,
	}
	if !maps.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}

	// Without a client in the note there is none, whatever the session has. A
	// restore is no request, and has that of the session.
	restored := testkit.NewID()
	_, err = r.store.Create(store.WithNote(ctx, store.Note{As: store.AsNothing}), store.Draft{
		ID: restored, UserID: "ada", Client: before,
	})
	check(err)
	ctx = store.WithNote(ctx, store.Note{As: store.AsRestore})
	restored = rotate(restored, store.Change{})
	ctx = store.WithNote(ctx, store.Note{})
	login(before)
	_, err = r.store.Delete(ctx, restored)
	check(err)
	var got []store.Client
	events, _ = r.read(after)
	for _, e := range events {
		got = append(got, e.Client)
	}
	if want := []store.Client{before, {}, {}}; !slices.Equal(got, want) {
		t.Errorf("clients %+v, want %+v", got, want)
	}
}

// A note that Postgres would refuse fails no logout.
func TestEventsMendNotes(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	id := r.login("ada")
	note := store.Note{Actor: "a\x00b\xff", Detail: strings.Repeat("ä", 1e4)}
	note.UserAgent = strings.Repeat("ä", 1e4)
	ctx := store.WithNote(t.Context(), note)
	if _, err := r.store.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	events, _ := r.read("")
	if e := events[1]; e.Actor != "ab" || len(e.Detail) != 1024 || len(e.UserAgent) != 512 {
		t.Errorf("actor %q, %d bytes of detail, %d of user agent",
			e.Actor, len(e.Detail), len(e.UserAgent))
	}
}

// A logout that waits for a locked row has its row too, and only one.
func TestEventsOfALogoutThatWaits(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	id := r.login("ada")
	release := r.lock(id)
	done := make(chan error, 1)
	go func() {
		_, err := r.store.Delete(because(t, "logout"), id)
		done <- err
	}()
	testkit.Eventually(t, "the logout waits", func() bool {
		return pgtest.One[int](t, r.admin, waiting) == 1
	})
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.want("", "session login, ada", "session logout, ada, logout")
}

func TestEventsOfRevokes(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	revoke := func(reason string, sel store.Selection) {
		t.Helper()
		if _, _, err := r.store.Revoke(because(t, reason), sel); err != nil {
			t.Fatal(err)
		}
	}
	ids := []store.ID{r.login("ada"), r.login("ada"), r.login("ada")}
	after := r.want("", "session login, ada", "session login, ada", "session login, ada")

	revoke("handle", store.Selection{UserID: "ada", Handle: ids[0].Handle()})
	revoke("handle", store.Selection{UserID: "ada", Handle: ids[0].Handle()})
	after = r.want(after, "sessions revoked, ada, handle")
	revoke("limit", store.Selection{UserID: "ada", Keep: 1})
	after = r.want(after, "sessions revoked, ada, limit")
	revoke("user", store.Selection{UserID: "ada"})
	after = r.want(after, "sessions revoked, ada, user", "sessions revoked, ada, user, 1")

	r.login("carl")
	r.login("bob")
	after = r.want(after, "session login, carl", "session login, bob")
	tagged, tag := testkit.NewID(), store.NewTag("sid", "1")
	_, err := r.store.Create(t.Context(), store.Draft{
		ID: tagged, UserID: "dora", Tags: []store.Tag{tag},
	})
	if err != nil {
		t.Fatal(err)
	}
	revoke("tag", store.Selection{Tag: tag})
	after = r.want(after, "session login, dora", "sessions revoked, , tag",
		"sessions revoked, , tag, 1")
	revoke("all", store.Selection{All: true})
	r.want(after, "sessions revoked, , all", "sessions revoked, , all, 2")
}

// A revoke in several batches has one row when it begins, one at its end.
func TestEventsOfARevokeInBatches(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	pgtest.Exec(t, r.admin, `INSERT INTO pgsession.sessions
		(id, user_id, authenticated_at, expires_at, absolute_expires_at)
		SELECT sha256(n::text::bytea), 'ada', now(),
			now() + interval '1 hour', now() + interval '1 hour'
		FROM generate_series(1, 2500) AS n`)
	if _, _, err := r.store.Revoke(because(t, "user"), store.Selection{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	r.want("", "sessions revoked, ada, user", "sessions revoked, ada, user, 2500")
}

// A row is part of the application's transaction.
func TestEventsOfATransaction(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	ids := []store.ID{r.login("ada"), r.login("ada"), r.login("ada")}
	_, after := r.read("")
	giveUp := errors.New("the application gives up")
	for _, result := range []error{giveUp, nil} {
		err := pgx.BeginFunc(t.Context(), r.pool, func(tx pgx.Tx) error {
			for _, sel := range []store.Selection{
				{UserID: "ada", Handle: ids[0].Handle()}, {UserID: "ada"},
			} {
				sel.Mark = store.NewMarkID()
				if _, _, err := r.store.RevokeIn(because(t, "user"), tx, sel); err != nil {
					return err
				}
			}
			return result
		})
		if !errors.Is(err, result) {
			t.Fatal(err)
		}
		if result != nil {
			r.want(after)
		}
	}
	r.want(after, "sessions revoked, ada, user", "sessions revoked, ada, user, 2")
	again := store.WithNote(t.Context(), store.Note{As: store.AsRepeat, Reason: "user"})
	if _, _, err := r.store.Revoke(again, store.Selection{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	r.want(after, "sessions revoked, ada, user", "sessions revoked, ada, user, 2")
}

// A login whose row can't be written does not take place, nor does a logout.
func TestEventsOrNothing(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	id := r.login("ada")
	pgtest.Exec(t, r.admin,
		"ALTER TABLE pgsession.events ADD CONSTRAINT full_up CHECK (id < 0) NOT VALID")
	other := testkit.NewID()
	_, err := r.store.Create(t.Context(), store.Draft{ID: other, UserID: "bob"})
	if !errors.Is(err, store.ErrConstraint) {
		t.Errorf("Create: %v", err)
	}
	if _, err := r.store.Load(t.Context(), other, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the login without a row: %v", err)
	}
	if _, err := r.store.Delete(t.Context(), id); err == nil {
		t.Error("Delete succeeds without a row")
	}
	r.load(id)
}

// A login that a revoke refuses after it was written has a second row.
func TestEventsOfARefusedLogin(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	began := store.BeganHere(time.Now())
	visitor := r.sessions(1)[0]
	if _, _, err := r.store.Revoke(because(t, "user"), store.Selection{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	_, after := r.read("")
	// Refused before it is written.
	login := store.Change{UserID: "ada", Began: began}
	_, err := r.store.Rotate(t.Context(), visitor, testkit.NewID(), login)
	if !errors.Is(err, store.ErrRevoked) {
		t.Fatalf("Rotate: %v", err)
	}
	r.want(after)
	// Written, since the mark commits meanwhile.
	pgtest.Exec(t, r.admin, "TRUNCATE pgsession.marks")
	login.Began = store.BeganHere(time.Now())
	release := r.lock(visitor)
	id, done := testkit.NewID(), make(chan error, 1)
	go func() {
		_, err := r.store.Rotate(because(t, ""), visitor, id, login)
		done <- err
	}()
	testkit.Eventually(t, "the login waits", func() bool {
		return pgtest.One[int](t, r.admin, waiting) == 1
	})
	if _, _, err := r.store.Revoke(because(t, "user"), store.Selection{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	release()
	if err := <-done; !errors.Is(err, store.ErrRevoked) {
		t.Fatalf("Rotate: %v", err)
	}
	// In the order of transactions: that of the login began before it waited.
	r.want(after, "session login, ada", "sessions revoked, ada, user",
		"sessions revoked, ada, user, 0", "session login refused, ada")
}

// Without the setting there are no rows, and the statements are those of ever.
func TestEventsAreOff(t *testing.T) {
	t.Parallel()
	c := hire(t)
	id := testkit.NewID()
	if _, err := c.store.Create(t.Context(), store.Draft{ID: id, UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.store.Revoke(t.Context(), store.Selection{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.events"); n > 0 {
		t.Errorf("%d events", n)
	}
	for _, name := range []string{"EventAdd", "EventMark", "EventDelete", "EventDeleteFree"} {
		if n := c.sent.Count(name); n > 0 {
			t.Errorf("%s was sent", name)
		}
	}
}

// An event that commits late is read late, and none behind it before: a page
// ends before the oldest open transaction.
func TestEventsInTheOrderOfCommits(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	late, err := r.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Rollback(context.WithoutCancel(t.Context())) }()
	sel := store.Selection{UserID: "ada", Mark: store.NewMarkID()}
	if _, _, err := r.store.RevokeIn(because(t, "user"), late, sel); err != nil {
		t.Fatal(err)
	}
	r.login("bob")
	page, next, err := r.store.Events(t.Context(), "")
	if len(page) > 0 || next != "" || err != nil {
		t.Errorf("behind an open transaction: %v, %q, %v", page, next, err)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.want("", "sessions revoked, ada, user, 0", "session login, bob")
}

// Writers whose transactions overlap, and two readers: each reads every event
// once, in one order. One of them begins in the middle.
func TestEventsSkipNone(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	const writers, each = 6, 40
	ctx := t.Context()
	done := make(chan struct{})
	var writing sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for range each {
				err := pgx.BeginFunc(ctx, r.admin, func(tx pgx.Tx) error {
					const add = "INSERT INTO pgsession.events (kind)" +
						" SELECT 'session login' FROM generate_series(1, $1)"
					if _, err := tx.Exec(ctx, add, 1+rand.N(3)); err != nil {
						return err
					}
					for range rand.N(4) {
						if _, err := tx.Exec(ctx, "SELECT 1"); err != nil {
							return err
						}
					}
					_, err := tx.Exec(ctx, add, 1)
					return err
				})
				if err != nil {
					t.Errorf("write: %v", err)
				}
			}
		})
	}
	middle, taken := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		writing.Wait()
		<-taken // so that an event follows the middle
		if _, err := r.admin.Exec(ctx,
			"INSERT INTO pgsession.events (kind) VALUES ('session login')"); err != nil {
			t.Errorf("write: %v", err)
		}
	}()
	follow := func(after string) (ids []int64) {
		for last := false; ; {
			page, next, err := r.store.Events(ctx, after)
			if err != nil {
				t.Errorf("Events: %v", err)
				return ids
			}
			for _, e := range page {
				ids = append(ids, e.ID)
			}
			after = next
			switch {
			case len(page) > 0:
				if len(ids) > 20 {
					select {
					case middle <- after:
					default:
					}
				}
				continue
			case last:
				return ids
			}
			select {
			case <-done:
				r.settled()
				last = true
			default:
			}
		}
	}
	var first, second []int64
	var reading sync.WaitGroup
	reading.Go(func() { first = follow("") })
	reading.Go(func() {
		after := <-middle
		close(taken)
		second = follow(after)
	})
	reading.Wait()
	all := pgtest.One[[]int64](t, r.admin,
		"SELECT array_agg(id ORDER BY tx, id) FROM pgsession.events")
	if !slices.Equal(first, all) {
		t.Errorf("a reader has %d events, in another order or not all of %d", len(first), len(all))
	}
	if n := len(second); n == 0 || n >= len(all) || !slices.Equal(second, all[len(all)-n:]) {
		t.Errorf("a reader from the middle has %d of %d events, or in another order", n, len(all))
	}
}

// A cursor that can't be continued is refused, with what to do.
func TestEventCursorsAreRefused(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	r.login("ada")
	r.login("ada")
	_, after := r.read("")
	other := hireRecording(t) // the same cluster, without this event
	if _, _, err := other.store.Events(t.Context(), after); !errors.Is(err, store.ErrEventCursor) {
		t.Errorf("an event that is not here: %v", err)
	}
	text, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(text))
	words[1] = "7" // the system identifier
	foreign := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(words, " ")))
	_, _, err = r.store.Events(t.Context(), foreign)
	if !errors.Is(err, store.ErrEventCursor) || !strings.Contains(err.Error(), "another") {
		t.Errorf("a cursor of another cluster: %v", err)
	}
	if _, _, err := r.store.Events(t.Context(), "nonsense"); !errors.Is(err, store.ErrEventCursor) {
		t.Errorf("nonsense: %v", err)
	}
	pgtest.Exec(t, r.admin,
		"UPDATE pgsession.events SET tx = (tx::text::bigint + 1000000)::text::xid8")
	_, _, err = r.store.Events(t.Context(), "")
	if err == nil || !strings.Contains(err.Error(), "another database cluster") {
		t.Errorf("events of another cluster: %v", err)
	}
	pgtest.Exec(t, r.admin, "UPDATE pgsession.events SET tx = '3'")
	r.want("", "session login, ada", "session login, ada")
}

// The prune deletes old events in their order, and leaves the newest.
func TestEventsArePruned(t *testing.T) {
	t.Parallel()
	r := hireRecording(t)
	for range 5 {
		r.login("ada")
	}
	_, after := r.read("")
	pgtest.Exec(t, r.admin, "INSERT INTO pgsession.prune_state (keep_events) VALUES ('30 days')")
	prune := func(want, left int) {
		t.Helper()
		n, ok, err := r.store.Prune(t.Context(), 2)
		if err != nil || !ok || n != want {
			t.Errorf("Prune: %d, %v, %v, want %d", n, ok, err, want)
		}
		if n := pgtest.One[int](t, r.admin, "SELECT count(*) FROM pgsession.events"); n != left {
			t.Errorf("%d events left, want %d", n, left)
		}
	}
	prune(0, 5)
	pgtest.Exec(t, r.admin, "UPDATE pgsession.events SET at = at - interval '31 days'")
	prune(2, 3)
	prune(2, 1)
	prune(0, 1)
	r.want("", "session login, ada")
	if _, _, err := r.store.Events(t.Context(), after); !errors.Is(err, store.ErrEventCursor) {
		t.Errorf("the moved event: %v", err) // its time is another one
	}
}
