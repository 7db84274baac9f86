package sessionstore_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestEventKindsHaveDistinctNames(t *testing.T) {
	names := map[string]sessionstore.EventKind{}
	for k := sessionstore.EventCreated; k <= sessionstore.EventDropped; k++ {
		name := k.String()
		if other, taken := names[name]; taken || name == "" || name == "unknown event" {
			t.Errorf("kind %d is called %q, as kind %d is", k, name, other)
		}
		names[name] = k
	}
	site := newSite(t)
	for _, k := range []sessionstore.EventKind{-1, sessionstore.EventDropped + 1} {
		expect(t, "the name of no kind", k.String(), "unknown event")
		expect(t, "the count of no kind", site.m.Count(k), 0)
	}
}

// The observer receives each event of a session's life.
func TestEventsOfSessionLife(t *testing.T) {
	site := newSite(t)
	var cookie string
	var handle sessionstore.Handle
	for _, step := range []struct {
		name string
		page page
		kind sessionstore.EventKind
		user string
	}{
		{"setting", func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Set("a", 1)
		}, sessionstore.EventCreated, ""},
		{"logging in", site.login("ada"), sessionstore.EventLogin, "ada"},
		{"regenerating", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			_ = s.Rotate(r.Context())
		}, sessionstore.EventRotated, "ada"},
		{"logging out", func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			handle = s.Handle()
			_ = s.Logout(r.Context())
		}, sessionstore.EventLogout, "ada"},
	} {
		t.Run(step.name, func(t *testing.T) {
			site.seen()
			_, cookie = site.visit(cookie, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				step.page(w, r, s)
				if step.kind != sessionstore.EventLogout {
					site.check(s.Save(r.Context()))
					handle = s.Handle()
				}
			})
			e := site.event(step.kind)
			expect(t, "Handle", e.Handle, handle)
			expect(t, "UserID", e.UserID, step.user)
			expect(t, "Err", e.Err, nil)
			expect(t, "events", site.seen(), step.kind.String())
			expect(t, "Count", site.m.Count(step.kind), 1)
		})
	}
}

func TestDefaultLogHasALineForAnEvent(t *testing.T) {
	var log syncBuffer
	site := newSite(t, func(cfg *sessionstore.Config) {
		cfg.Observer = nil
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	cookie := site.user("ada")
	site.store.on(store.OpSave,
		func(context.Context) error { return errors.New("the disk is full") })
	var handle sessionstore.Handle
	site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		handle = s.Handle()
		_ = s.Set("a", 1)
	})
	site.delivered()
	out := log.String()
	for _, want := range []string{
		`level=INFO msg="session login" session=`, " user_id=ada",
		`level=ERROR msg="session save failed" session=` + string(handle) +
			` user_id=ada login_id=` + site.loginID(cookie) + ` error="the disk is full"`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "session created") {
		t.Errorf("an event of level debug is in a log of level info:\n%s", out)
	}
}

// With an Observer, the library logs no events.
func TestObserverReplacesTheLog(t *testing.T) {
	site := newSite(t)
	visit(site.serve(nothing), "forged")
	expect(t, "events", site.seen(), "session cookie forged")
	expect(t, "the log", site.log.String(), "")
}
