package sessionstore_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

const sent = cookieName + " "

// A Rotate gets no reply. If the store can be asked in time, the browser gets
// its answer, whether the change was committed or not.
func TestLostReplyIsResolved(t *testing.T) {
	for name, p := range map[string]page{"login": logIn, "renewal": renew} {
		for _, made := range []bool{true, false} {
			user := map[string]string{"login": "", "renewal": "ann"}[name]

			b, u := doubtful(t, user, made) // the library asks at once
			b.site.store.on(store.OpSave,
				func(context.Context) error { u.down.Store(false); return nil })
			b.site.store.on(store.OpRotate,
				func(context.Context) error { u.down.Store(false); return nil })
			status, set := b.get(p)
			expect(t, "status", status, http.StatusOK)
			expect(t, "cookies set", set, sent)
			expect(t, "afterwards", b.who(), "ann")
			expect(t, "rows", b.site.store.rows(), 1)
			if err := u.lost.Deliver(t.Context()); !made && verdictOf(err) != "not found" {
				t.Errorf("when it arrives late: %v", err)
			}

			b, u = doubtful(t, user, made) // the repeated Rotate asks
			refused := b.site.store.on(store.OpSave,
				func(context.Context) error { u.down.Store(false); return errDown })
			n := 0
			b.site.store.on(store.OpRotate, func(context.Context) error {
				if n++; n == 2 {
					refused.Release()
				}
				return nil
			})
			status, set = b.get(p)
			expect(t, "status, repeated", status, http.StatusOK)
			expect(t, "cookies set, repeated", set, sent)
			expect(t, "afterwards, repeated", b.who(), "ann")
			expect(t, "values", b.has("here"), true)
			expect(t, "rows, repeated", b.site.store.rows(), 1)
			for _, call := range b.site.store.of(store.OpSave) { // or the login counts twice
				expect(t, "the user in a Save that confirms", call.Change.UserID, "")
			}
			_ = u.lost.Deliver(t.Context())
			expect(t, "when it arrives late", b.who(), "ann")
		}
	}
}

// has reports whether the browser's session has a value.
func (b *browser) has(key string) (found bool) {
	b.t.Helper()
	_, _ = b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		found = s.Has(key)
	})
	return found
}

// A Rotate gets no reply and the store stays unavailable: 503, and the cookie
// stays. If the change was committed, this browser must log in again.
func TestLostReplyWhileUnavailable(t *testing.T) {
	for _, made := range []bool{true, false} {
		b, u := doubtful(t, "", made)
		thief := b.copied()
		had := b.cookies[cookieName]
		status, set := b.get(logIn)
		expect(t, "status", status, http.StatusServiceUnavailable)
		expect(t, "cookies set", set, "")
		expect(t, "the cookie", b.cookies[cookieName], had)
		expect(t, "in the outage", b.who(), "Service Unavailable")
		u.down.Store(false)
		want := map[bool]string{true: "", false: "visitor"}[made]
		expect(t, "afterwards", b.who(), want)
		if !made {
			expect(t, "when it arrives late", u.lost.Deliver(t.Context()), nil)
			expect(t, "afterwards", b.who(), "")
		}
		_, set = b.get(logIn)
		expect(t, "cookies of the next login", set, sent)
		expect(t, "the next login", b.who(), "ann")
		expect(t, "who planted the first token", thief.who(), "")
	}
}

// A Rotate that was not sent leaves cookie and session as they were.
func TestRotateThatIsNotCommitted(t *testing.T) {
	b, u := doubtful(t, "", false)
	u.lost.Release()
	b.site.store.Down(store.OpRotate)
	status, set := b.get(logIn)
	expect(t, "status", status, http.StatusServiceUnavailable)
	expect(t, "cookies set", set, "")
	b.site.store.Up()
	expect(t, "afterwards", b.who(), "visitor")
}

// The response to a login is lost on its way to the browser, or its form is
// sent twice. The second login succeeds with the first login's old token.
func TestLoginWithLostResponse(t *testing.T) {
	site := newSite(t)
	b := site.browser(site.newcomer("cart"))
	second := b.copied()
	_, _ = b.get(logIn) // the browser never gets this response
	status, set := second.get(logIn)
	expect(t, "status", status, http.StatusOK)
	expect(t, "cookies set", set, sent)
	expect(t, "the second click", second.who(), "ann")
	expect(t, "values of the anonymous session", second.has("cart"), false)
}

// Concurrent requests with a token that Rotate replaced have no session. Their
// responses set and clear no cookie.
func TestRequestsDuringRotate(t *testing.T) {
	site := newSite(t)
	b := site.browser(site.user("ann"))
	for name, p := range map[string]page{"reads": nothing, "logs out": logOut} {
		late := b.copied()
		_, set := b.get(renew)
		expect(t, "cookies of the renewal", set, sent)
		_, set = late.get(p)
		expect(t, "cookies of the one that "+name, set, "")
		expect(t, "whose session it sees", late.who(), "")
		expect(t, "the browser that got the answer", b.who(), "ann")
	}
}

// A response that was loaded before a login and ends after it does not set the
// older cookie.
func TestLateResponseSetsNoCookie(t *testing.T) {
	for name, stores := range map[string]bool{"and stores": true, "and stores nothing": false} {
		site := newSite(t)
		b := site.browser(site.newcomer())
		slow := b.copied()
		_, set := slow.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_, _ = b.get(logIn)
			if stores {
				site.check(s.Set("late", true))
			}
			site.check(s.RememberMe(true))
		})
		expect(t, "cookies set by a slow one that remembers "+name, set, "")
		expect(t, "the browser", b.who(), "ann")
	}
}

// The same for a response that saved before the login, with a save that Redis
// did not acknowledge.
func TestLateResponseAfterSaveSetsNoCookie(t *testing.T) {
	site, _, _ := twoSites(t, halfMinute)
	b := site.browser(site.newcomer())
	slow := b.copied()
	_, set := slow.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Set("step", 1))
		site.check(s.Save(r.Context()))
		_, _ = b.get(logIn)
	})
	expect(t, "cookies set by the slow one", set, "")
	expect(t, "the browser", b.who(), "ann")
}

// A response with status 500 or more discards unsaved changes. A Logout and the
// cookie of a saved new token stay.
func TestErrorResponseDiscardsChanges(t *testing.T) {
	fails := func(w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session) {
		w.WriteHeader(http.StatusBadGateway)
	}
	saves := func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		_ = s.Save(r.Context())
	}
	sets := func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		_ = s.Set("kept", true)
	}
	remembers := func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		_ = s.RememberMe(true)
	}
	panics := func(http.ResponseWriter, *http.Request, *sessionstore.Session) {
		panic("a fault of the handler")
	}
	hangs := func(_ http.ResponseWriter, r *http.Request, _ *sessionstore.Session) {
		<-r.Context().Done()
	}
	inTime := func(h http.Handler) http.Handler {
		return http.TimeoutHandler(h, time.Millisecond, "")
	}
	plain := func(h http.Handler) http.Handler { return h }
	for name, tt := range map[string]struct {
		begins, set string
		inside      func(http.Handler) http.Handler
		pages       []page
		who         string
		kept        bool
		events      string
	}{
		"nothing pending": {"ann", "", plain, []page{fails}, "ann", false, ""},
		"a value": {
			"ann", "", plain, []page{sets, fails}, "ann", false, "session changes discarded",
		},
		"a value of a visitor": {
			"none", "", plain, []page{sets, fails}, "", false, "session changes discarded",
		},
		"a login": {
			"", "", plain,
			[]page{logIn, sets, fails},
			"visitor", false,
			"session changes discarded",
		},
		"another's login": {
			"bob", "", plain, []page{logIn, fails}, "bob", false, "session changes discarded",
		},
		"a renewal": {
			"ann", "", plain, []page{renew, fails}, "ann", false, "session changes discarded",
		},
		"a saved login": {
			"", sent, plain, []page{logIn, saves, fails}, "ann", false, "session login",
		},
		"a saved login, a value": {
			"", sent, plain,
			[]page{logIn, saves, sets, fails},
			"ann", false,
			"session login, session changes discarded",
		},
		"a saved value": {"ann", "", plain, []page{sets, saves, fails}, "ann", true, ""},
		"a saved first value": {
			"none", sent, plain, []page{sets, saves, fails}, "", true, "session created",
		},
		"a logout": {
			"ann", "-" + sent, plain, []page{logOut, fails}, "", false, "session logout",
		},
		"a logout and a value": {
			"ann", "-" + sent, plain,
			[]page{logOut, sets, fails},
			"", false,
			"session changes discarded, session logout",
		},
		"a login after a logout": {
			"ann", "-" + sent, plain,
			[]page{logOut, logIn, fails},
			"", false,
			"session changes discarded, session logout",
		},
		"remembered": {
			"", "", plain,
			[]page{logIn, remembers, fails},
			"visitor", false,
			"session changes discarded",
		},
		"a value too late": {
			"ann", "", plain, []page{fails, sets}, "ann", false, "session changes discarded",
		},
		"recovered": {
			"", "", recovered,
			[]page{logIn, sets, panics},
			"visitor", false,
			"session changes discarded",
		},
		"recovered after a Save": {
			"", sent, recovered,
			[]page{logIn, saves, sets, panics},
			"ann", false,
			"session login, session changes discarded",
		},
		"too late": {
			"", "", inTime,
			[]page{logIn, sets, hangs},
			"visitor", false,
			"session changes discarded",
		},
		"too late after a Save": {
			"", sent, inTime,
			[]page{logIn, saves, sets, hangs},
			"ann", false,
			"session login, session changes discarded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t)
				b := site.browser("")
				switch tt.begins {
				case "none":
				case "":
					b.cookies[cookieName] = site.newcomer()
				default:
					b.cookies[cookieName] = site.user(tt.begins)
				}
				status, set := b.ask(site.m.Handler(tt.inside(asking(func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					for _, p := range tt.pages {
						p(w, r, s)
					}
				}))))
				expect(t, "an error", status >= 500, true)
				expect(t, "cookies set", set, tt.set)
				expect(t, "events", site.seen(), tt.events)
				expect(t, "afterwards", b.who(), tt.who)
				expect(t, "the value", b.has("kept"), tt.kept)
			})
		})
	}
}

// A logout that fails replaces even an error of the handler.
func TestFailedLogoutReplacesError(t *testing.T) {
	site := newSite(t)
	b := site.browser(site.user("ann"))
	site.store.Down(store.OpDelete)
	status, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		logOut(w, r, s)
		w.WriteHeader(http.StatusBadGateway)
	})
	expect(t, "status", status, http.StatusServiceUnavailable)
	expect(t, "cookies set", set, "")
	site.store.Up()
	expect(t, "afterwards", b.who(), "ann")
}

// An attacker plants a token before a login. The token after the login is new,
// also when its reply was lost.
func TestTokenPlantedBeforeLogin(t *testing.T) {
	for _, p := range []page{logIn, renew} {
		for _, lost := range []string{"", "made", "not made"} {
			victim, u := doubtful(t, "", lost == "made")
			if lost == "" {
				u.lost.Release()
			}
			refused := victim.site.store.on(store.OpSave,
				func(context.Context) error { u.down.Store(false); return errDown })
			n := 0
			victim.site.store.on(store.OpRotate, func(context.Context) error {
				if n++; n == 2 {
					refused.Release()
				}
				return nil
			})
			thief := victim.copied()
			status, set := victim.get(p)
			victim.site.store.Up()
			expect(t, "status", status, http.StatusOK)
			expect(t, "cookies set", set, sent)
			expect(t, "who planted the token", thief.who(), "")
		}
	}
}

// A handler's Save gets no reply, and the store is available again before the
// response. The session has one new token and all changes.
func TestSaveAfterLostReply(t *testing.T) {
	for _, made := range []bool{true, false} {
		for name, then := range map[string]page{
			"the response": func(http.ResponseWriter, *http.Request, *sessionstore.Session) {},
			"another Save": func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
				_ = s.Save(r.Context())
			},
		} {
			for _, first := range []page{logIn, renew} {
				b, u := doubtful(t, "", made)
				status, set := b.get(func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					first(w, r, s)
					expect(t, "the first save", verdictOf(s.Save(r.Context())), "unavailable")
					u.down.Store(false)
					logIn(w, r, s)
					b.site.check(s.Set("later", true))
					then(w, r, s)
				})
				expect(t, name+": status", status, http.StatusOK)
				expect(t, name+": cookies set", set, sent)
				expect(t, name+": afterwards", b.who(), "ann")
				expect(t, name+": values", b.has("here") && b.has("later"), true)
				expect(t, name+": rows", b.site.store.rows(), 1)
				if err := u.lost.Deliver(t.Context()); !made && verdictOf(err) != "not found" {
					t.Errorf("when it arrives late: %v", err)
				}
			}
		}
	}
}

// If the second attempt gets no reply either, its changes do not count as saved
// because the first attempt was committed.
func TestRetryWithLostReply(t *testing.T) {
	b, u := doubtful(t, "ann", true)
	status, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		renew(w, r, s)
		expect(t, "the first save", verdictOf(s.Save(r.Context())), "unavailable")
		b.site.check(s.Set("later", true))
		u.down.Store(false)
		n := 0
		b.site.store.on(store.OpRotate, func(context.Context) error {
			if n++; n == 1 {
				return errLost
			}
			return nil
		})
	})
	expect(t, "status", status, http.StatusOK)
	expect(t, "cookies set", set, sent)
	expect(t, "the value", b.has("later"), true)
	expect(t, "rows", b.site.store.rows(), 1)
}

// A logout ends the session under the old and the new token, with one event.
func TestLogoutAfterLostReply(t *testing.T) {
	for _, made := range []bool{true, false} {
		for _, beside := range []bool{true, false} {
			b, u := doubtful(t, "ann", made)
			var handle sessionstore.Handle
			status, set := b.get(func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				renew(w, r, s)
				var logout sync.WaitGroup
				if beside {
					b.site.store.on(store.OpRotate, func(context.Context) error {
						logout.Go(func() { logOut(w, r, s) }) // waits for the save
						return nil
					})
				}
				_ = s.Save(r.Context())
				logout.Wait()
				u.down.Store(false)
				infos, err := b.site.m.List(r.Context(), "ann", sessionstore.Page{})
				b.site.check(err)
				handle = infos[0].Handle // of the row, under the old or the new token
				logOut(w, r, s)
			})
			expect(t, "status", status, http.StatusOK)
			expect(t, "cookies set", set, "-"+sent)
			expect(t, "rows", b.site.store.rows(), 0)
			expect(t, "the event's", b.site.event(sessionstore.EventLogout).Handle, handle)
			if err := u.lost.Deliver(t.Context()); !made && verdictOf(err) != "not found" {
				t.Errorf("when it arrives late: %v", err)
			}
		}
	}
}

// A change without a reply that the handler discards is not repeated: no login
// happens after its Discard.
func TestDiscardAfterLostReply(t *testing.T) {
	for _, made := range []bool{true, false} {
		b, u := doubtful(t, "", made)
		status, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			logIn(w, r, s)
			expect(t, "save", verdictOf(s.Save(r.Context())), "unavailable")
			s.Discard()
			u.down.Store(false)
			w.WriteHeader(http.StatusTeapot)
		})
		expect(t, "status", status, http.StatusTeapot)
		expect(t, "cookies set", set, "")
		expect(t, "afterwards", b.who(), map[bool]string{true: "", false: "visitor"}[made])
	}
}

// A login after Discard does not resume the discarded change.
func TestLoginAfterDiscard(t *testing.T) {
	b, u := doubtful(t, "", true)
	_, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		_ = s.Login(r.Context(), "ann")
		_ = s.Set("before", true)
		expect(t, "save", verdictOf(s.Save(r.Context())), "unavailable")
		s.Discard()
		u.down.Store(false)
		_ = s.Login(r.Context(), "ann")
	})
	expect(t, "cookies set", set, sent)
	expect(t, "afterwards", b.who(), "ann")
	expect(t, "values of what was taken back", b.has("before"), false)
}

// A Save of an ErrorHandler does not rotate: its response could not set the
// cookie.
func TestSaveByErrorHandler(t *testing.T) {
	for _, lost := range []bool{true, false} {
		var u *unheard
		answer := func(w http.ResponseWriter, r *http.Request, _ error) {
			u.down.Store(false)
			s, err := sessionstore.FromContext(r.Context())
			expect(t, "load", err, nil)
			expect(t, "user", s.UserID(), "ann")
			expect(t, "a pending value", s.Has("pending"), false)
			expect(t, "save", s.Save(r.Context()), nil)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		var b *browser
		b, u = doubtful(t, "ann", false,
			func(cfg *sessionstore.Config) { cfg.ErrorHandler = answer })
		if !lost {
			u.lost.Release()
		}
		status, set := b.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			_ = s.Login(r.Context(), "bob")
			_ = s.Set("pending", true)
			u.down.Store(true)
		})
		expect(t, "status", status, http.StatusServiceUnavailable)
		expect(t, "cookies set", set, "")
		expect(t, "afterwards", b.who(), "ann")
	}
}

// A failed response sets the cookie of a token that the handler's own Save has
// changed.
func TestFailedResponseSetsNewToken(t *testing.T) {
	b, u := doubtful(t, "", true)
	u.lost.Release()
	status, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		logIn(w, r, s)
		b.site.check(s.Save(r.Context()))
		b.site.check(s.Set("later", true))
		u.down.Store(true)
	})
	expect(t, "status", status, http.StatusServiceUnavailable)
	expect(t, "cookies set", set, sent)
	u.down.Store(false)
	expect(t, "afterwards", b.who(), "ann")
}

// Another goroutine's Save changes the token while the response fails, or while
// the handler discards its changes. The response waits for the Save and sets
// the new cookie.
func TestResponseDuringSaveOfLogin(t *testing.T) {
	for _, tt := range []struct {
		discards bool
		status   int
	}{{false, http.StatusBadGateway}, {true, http.StatusNoContent}} {
		site := newSite(t)
		b := site.browser(site.newcomer())
		held := site.store.hold(store.OpRotate)
		saved := make(chan error, 1)
		status, set := b.get(func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			logIn(w, r, s)
			go func() { saved <- s.Save(context.WithoutCancel(r.Context())) }()
			arrived(t, held)
			if tt.discards {
				s.Discard()
			}
			go held.Release()
			w.WriteHeader(tt.status)
		})
		expect(t, "save", <-saved, nil)
		expect(t, "status", status, tt.status)
		expect(t, "cookies set", set, sent)
		site.store.Up()
		expect(t, "afterwards", b.who(), "ann")
	}
}

// A handler outside recovers from a panic and answers. The answer has the
// cookie of the handler's own Save, and no unsaved change is kept.
func TestPanicAfterNewToken(t *testing.T) {
	for name, p := range map[string]page{
		"renewed": func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			renew(w, r, s)
			expect(t, "save", s.Save(r.Context()), nil)
		},
		"renewed, and changed after that": func(
			w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			renew(w, r, s)
			expect(t, "save", s.Save(r.Context()), nil)
			_ = s.Set("pending", true)
		},
		"nothing saved": func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			renew(w, r, s)
			_ = s.Set("pending", true)
		},
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

// A user logs out while another request has rotated the session and waits for
// the reply. The cookie of that request comes later, and is worth nothing.
func TestLogoutBesideARotate(t *testing.T) {
	for _, here := range []bool{true, false} {
		for name, rotates := range map[string]page{
			"rotate": renew,
			"step-up": func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
				_ = s.StepUp(r.Context(), 2, "totp")
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t)
				elsewhere := site
				if !here {
					elsewhere = newSiteOver(t, newSpy(site.store.inner))
				}
				first := site.browser(site.user("ann"))
				other := site.user("ann")
				second := first.copied()
				second.site = elsewhere
				held := site.store.Inject(fault.Rule{When: fault.HangReply}, store.OpRotate)
				var rotating sync.WaitGroup
				status, set := second.get(func(
					w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
				) {
					rotating.Go(func() { _, _ = first.get(rotates) })
					synctest.Wait()
					logOut(w, r, s)
				})
				expect(t, "status", status, http.StatusOK)
				expect(t, "cookies set", set, "-"+sent)
				held.Release()
				rotating.Wait()
				expect(t, name+", afterwards", first.who(), "")
				expect(t, "another device", site.look(other), "user=ann")
			})
		}
	}
}
