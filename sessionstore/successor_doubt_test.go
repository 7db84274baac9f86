package sessionstore_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// doubtful is a browser whose next Rotate nobody answers. The store is back with u.away set to false.
func doubtful(t *testing.T, user string, made bool, change ...func(*sessionstore.Config)) (*jar, *unheard) {
	t.Helper()
	u := &unheard{Store: sessionstore.NewMemory(weekly, 0)}
	site := newSiteOver(t, &spyStore{Store: u}, change...)
	b := &jar{t, site, map[string]string{cookieName: site.user(user)}}
	u.armed, u.made = true, made
	return b, u
}

// A handler that takes back what nobody answered, and answers itself, leaves the browser with both tokens.
func TestDiscardOfWhatNobodyAnswered(t *testing.T) {
	for _, made := range []bool{true, false} {
		b, u := doubtful(t, "ann", made)
		status, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			renew(w, r, s)
			expect(t, "save", verdictOf(s.Save(r.Context())), "unavailable")
			s.Discard()
			w.WriteHeader(http.StatusTeapot)
		})
		expect(t, "status", status, http.StatusTeapot)
		expect(t, "cookies set", set, nextName+" ")
		u.away = false
		expect(t, "afterwards", b.who(), "ann")
		_, set = b.get(nothing)
		expect(t, "cookies set later", set, "")
		if !made {
			expect(t, "when it arrives late", u.late(), nil)
		}
		expect(t, "in the end", b.who(), "ann")
	}
}

// Nor does a Save of something else lose the session that nobody knows the token of, or its change.
func TestASaveAfterDiscardOfWhatNobodyAnswered(t *testing.T) {
	for _, made := range []bool{true, false} {
		b, u := doubtful(t, "ann", made)
		_, _ = b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			renew(w, r, s)
			expect(t, "save", verdictOf(s.Save(r.Context())), "unavailable")
			s.Discard()
			u.away = false
			b.site.check(s.Set("kept", true))
			expect(t, "another save", s.Save(r.Context()), nil)
		})
		kept := false
		_, _ = b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) { kept = s.Has("kept") })
		expect(t, "the value", kept, true)
		expect(t, "afterwards", b.who(), "ann")
	}
}

// An ErrorHandler that saves does not move the session to a token that the browser never gets.
func TestASaveByTheErrorHandler(t *testing.T) {
	for _, lost := range []bool{true, false} {
		var u *unheard
		answer := func(w http.ResponseWriter, r *http.Request, _ error) {
			u.away = false
			s, err := sessionstore.FromContext(r.Context())
			expect(t, "load", err, nil)
			expect(t, "user", s.UserID(), "ann")
			expect(t, "a pending value", s.Has("pending"), false)
			if err := s.Save(r.Context()); verdictOf(err) != "alive" {
				t.Errorf("save: %v", err)
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		var b *jar
		b, u = doubtful(t, "ann", true, func(cfg *sessionstore.Config) { cfg.ErrorHandler = answer })
		u.armed = lost
		status, _ := b.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			_ = s.Login(r.Context(), "bob")
			_ = s.Set("pending", true)
			u.away = true
		})
		expect(t, "status", status, http.StatusServiceUnavailable)
		want := "ann"
		if lost {
			want = "bob" // it was made, and the second cookie leads there
		}
		expect(t, "afterwards", b.who(), want)
	}
}

// The session may be under either token: it is no other one.
func TestRevokeOthersSparesASessionThatMoves(t *testing.T) {
	for _, made := range []bool{true, false} {
		b, u := doubtful(t, "ann", made)
		u.armed = false
		other := b.site.user("ann")
		u.armed = true
		_, _ = b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			renew(w, r, s)
			expect(t, "save", verdictOf(s.Save(r.Context())), "unavailable")
			_, err := s.RevokeOthers(r.Context())
			expect(t, "while nobody answers", verdictOf(err), "unavailable")
			u.away = false
			revoked, err := s.RevokeOthers(r.Context())
			expect(t, "error", err, nil)
			expect(t, "sessions ended", revoked.Count, 1)
		})
		expect(t, "this browser", b.who(), "ann")
		expect(t, "the other one", b.site.look(other), "nobody")
		if !made {
			expect(t, "when it arrives late", verdictOf(u.late()), "not found")
		}
		expect(t, "in the end", b.who(), "ann")
	}
}

// One logout is one event, under however many tokens the session may be.
func TestALogoutOfASessionThatMovesIsOneEvent(t *testing.T) {
	b, _ := unanswered(t, false)
	var handle sessionstore.Handle
	_, _ = b.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		handle = s.Handle()
		_ = s.Logout(r.Context())
	})
	expect(t, "the event's", b.site.event(sessionstore.EventLogout).Handle, handle)
}

// A session that is ended for suspicion is ended under either token, when it moves just then.
func TestASuspiciousSessionThatMovesIsRevoked(t *testing.T) {
	b, u := doubtful(t, "ann", false, acting(sessionstore.ActionRevoke), func(cfg *sessionstore.Config) { cfg.NoSuspiciousCheck = false })
	_, _ = b.get(renew)
	u.away = false
	b.site.store.on("Delete", func(context.Context) error { _ = u.late(); return nil })
	both := b.cookies[cookieName] + "; " + nextName + "=" + b.cookies[nextName]
	b.site.come(both, cafe, laptop, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "user", s.UserID(), "")
	})
	expect(t, "rows", b.site.store.rows(), 0)
}

// After a logout that came first, the session is given no token any more.
func TestALogoutBeforeAChangeOfToken(t *testing.T) {
	b, _ := doubtful(t, "ann", true)
	b.site.store.asked()
	_, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		renew(w, r, s)
		err := s.WriteLate(r.Context(), func() { b.site.check(s.Logout(r.Context())) })
		expect(t, "written", err != nil, true)
	})
	expect(t, "calls", b.site.store.asked(), "Load Delete")
	expect(t, "cookies set", set, "-"+cookieName+" ")
}

// Whoever recovers from a panic answers, and brings the token that the handler's own Save has changed, but nothing that was not saved.
func TestANewTokenBeforeAPanic(t *testing.T) {
	for name, p := range map[string]page{
		"renewed": func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			renew(w, r, s)
			expect(t, "save", s.Save(r.Context()), nil)
		},
		"renewed, and changed after that": func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			renew(w, r, s)
			expect(t, "save", s.Save(r.Context()), nil)
			_ = s.Set("pending", true)
		},
		"nothing saved": func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			renew(w, r, s)
			_ = s.Set("pending", true)
		},
		"nothing saved of a logout": func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) { _ = s.Logout(r.Context()) },
	} {
		site := newSite(t)
		before := site.user("ann")
		broken := site.serve(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			p(w, r, s)
			panic("a fault of the handler")
		})
		_, after := visit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				expect(t, "recovered", recover() != nil, true)
				w.WriteHeader(http.StatusInternalServerError)
			}()
			broken.ServeHTTP(w, r)
		}), before)
		expect(t, name, site.look(after, "pending"), "user=ann")
	}
}
