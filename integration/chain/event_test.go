package chain_test

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func recording(c *sessionstore.Config) { c.RecordEvents = true }

// kinds returns the kinds of all recorded events, in the order of their ids.
func (r *rig) kinds() []string {
	r.t.Helper()
	return pgtest.One[[]string](r.t, r.admin,
		"SELECT coalesce(array_agg(kind ORDER BY id), '{}') FROM pgsession.events")
}

// The reply to a login or a logout is lost, before the commit or after it. What
// is repeated has one event.
func TestALostReplyIsOneEvent(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"COMMIT", "INSERT 0 "} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			i := r.open(withoutEmergency, withoutRedis, recording)
			s := i.serve(t)
			s.want("/set", http.StatusOK, "")
			lost := i.toPostgres.trap("loss", "downstream", word)
			lost.left.Store(1)
			testkit.Eventually(t, "the login succeeds", func() bool {
				status, _, _ := s.get("/login")
				return status == http.StatusOK
			})
			if lost.left.Load() >= 1 {
				t.Fatal("no reply was lost")
			}
			s.want("/me", http.StatusOK, "alice")
			i.toPostgres.heal()
			ended := i.toPostgres.trap("loss", "downstream", "SELECT 1")
			ended.left.Store(1)
			testkit.Eventually(t, "the logout succeeds", func() bool {
				status, _, _ := s.get("/logout")
				return status == http.StatusOK
			})
			s.want("/me", http.StatusOK, "")
			want := []string{"session login", "session logout"}
			if got := r.kinds(); !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// The journal keeps who ended a session in an emergency, and from where. A
// restored login has one event, under the session's own handle.
func TestEventsOfAnEmergency(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(withoutRedis, recording)
	before := i.create(t)
	i.toPostgres.down()
	i.emergency(t)
	phone := store.Client{IP: netip.MustParseAddr("2001:db8::7"), UserAgent: "phone"}
	note := store.Note{Actor: "support", Reason: "logout", Detail: "why", Client: phone}
	ctx := store.WithNote(t.Context(), note)
	if _, err := i.Delete(ctx, before); err != nil {
		t.Fatal(err)
	}
	visitor, restored := testkit.NewID(), testkit.NewID()
	for _, d := range []store.Draft{
		{ID: visitor, Client: phone}, {ID: restored, UserID: "alice", Client: phone},
	} {
		if _, err := i.Create(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	i.toPostgres.heal()
	i.restored(t)
	got := pgtest.One[[]string](t, r.admin, `SELECT array_agg(
		concat_ws(' | ', kind, session, reason, actor, detail, host(ip), user_agent)
		ORDER BY id) FROM pgsession.events`)
	want := []string{
		"session login | " + string(before.Handle()),
		"session logout | " + string(before.Handle()) + " | logout | support | why" +
			" | 2001:db8::7 | phone",
		"session login | " + string(restored.Handle()) + " | restored after an outage" +
			" | 2001:db8::7 | phone",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events:\n%q\nwant:\n%q", got, want)
	}
}
