package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// stuck returns a site whose observer hangs in the first event until it is
// released.
func stuck(t *testing.T) (s *site, letGo func()) {
	gate := make(chan struct{})
	s = newSite(t)
	site := s
	s = newSiteOver(t, site.store, func(cfg *sessionstore.Config) {
		cfg.Observer = func(ctx context.Context, e sessionstore.Event) {
			<-gate
			site.observe(ctx, e)
		}
	})
	site.m = s.m // the test waits for what that observer has seen
	return site, func() { close(gate) }
}

// An observer that hangs blocks no request, fails none and loses no event.
func TestHangingObserverDelaysNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, letGo := stuck(t)
		began := time.Now()
		_, cookie := site.visit("", site.login("ada"))
		_, cookie = site.visit(cookie, func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Rotate(r.Context()))
		})
		_, err := site.m.RevokeUser(t.Context(), "ada")
		site.check(err)
		resp, _ := site.visit(cookie, nothing)
		expect(t, "status", resp.StatusCode, http.StatusOK)
		expect(t, "waited", time.Since(began), 0)
		expect(t, "counted at once", site.m.Count(sessionstore.EventRevoked), 1)
		expect(t, "events delivered", len(site.events), 0)
		time.Sleep(time.Hour)
		letGo()
		expect(t, "events, in order", site.seen(),
			"session login, session rotated, sessions revoked, session not found")
	})
}

// Events and log lines carry the time at which they happened.
func TestEventsHaveTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site, letGo := stuck(t)
		at := time.Now()
		visit(site.serve(nothing), "forged")
		time.Sleep(time.Minute)
		letGo()
		expect(t, "At", site.event(sessionstore.EventForged).At, at)

		var log syncBuffer
		logs := newSite(t, func(cfg *sessionstore.Config) {
			cfg.Observer, cfg.Logger = nil, slog.New(slog.NewTextHandler(&log, nil))
		})
		visit(logs.serve(nothing), "forged")
		logs.delivered()
		now := time.Now().Format("2006-01-02T15:04:05.000Z07:00")
		expect(t, "in the log", strings.HasPrefix(log.String(), "time="+now+" level=INFO msg="),
			true)
	})
}

// A flood of events is bounded, and kept events stay in it.
func TestEventFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room, flood, users = 4096, 5000, 300
		site, letGo := stuck(t)
		page := site.serve(nothing)
		visit(page, "forged") // the observer hangs in this event
		synctest.Wait()
		for range flood {
			visit(page, "forged")
		}
		for i := range users {
			user := fmt.Sprint("user ", i)
			site.visit("", site.login(user))
			_, err := site.m.RevokeUser(t.Context(), user)
			site.check(err)
		}
		visit(page, "forged")
		expect(t, "dropped", site.m.Count(sessionstore.EventDropped), flood-room+1)
		expect(t, "forged", site.m.Count(sessionstore.EventForged), flood+2)
		letGo()
		site.delivered()
		want := strings.Repeat("session cookie forged, ", room+1) + "session events dropped, " +
			strings.Repeat("session login, sessions revoked, ", users) + "session events dropped"
		dropped := []int{}
		for _, e := range site.events {
			if e.Kind == sessionstore.EventDropped {
				dropped = append(dropped, e.Count)
			}
		}
		expect(t, "dropped, by event", fmt.Sprint(dropped),
			fmt.Sprint([]int{flood - room, 1}))
		expect(t, "the order", site.seen() == want, true)
	})
}

// An observer that panics, or ends its goroutine with FailNow, loses no other
// event.
func TestFailingObserverGetsTheNextEvent(t *testing.T) {
	for name, fail := range map[string]func(){
		"panic": func() { panic("at the observer's") }, "Goexit": runtime.Goexit,
		"nil pointer": func() { *(*int)(nil) = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			var delivered []sessionstore.EventKind
			site := newSite(t, func(cfg *sessionstore.Config) {
				cfg.Observer = func(_ context.Context, e sessionstore.Event) {
					delivered = append(delivered, e.Kind)
					fail()
				}
			})
			visit(site.serve(nothing), "forged")
			_, cookie := site.visit("", site.login("ada"))
			site.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				site.check(s.Logout(r.Context()))
			})
			site.delivered()
			expect(t, "events delivered", fmt.Sprint(delivered),
				"[session cookie forged session login session logout]")
			lines := strings.Count(site.log.String(),
				`level=ERROR msg="observer panicked" event="session login"`)
			if want := map[bool]int{true: 0, false: 1}[name == "Goexit"]; lines != want {
				t.Errorf("%d lines about it, want %d:\n%s", lines, want, site.log)
			}
			expect(t, "with its stack", strings.Contains(site.log.String(), "events_test.go"),
				name != "Goexit")
		})
	}
}

// The observer gets the values of the request's context, such as a trace id,
// without its cancellation.
func TestObserversContext(t *testing.T) {
	type traceKey struct{}
	done := make(chan struct{})
	over := make(chan struct{})
	site := newSite(t, func(cfg *sessionstore.Config) {
		cfg.Observer = func(ctx context.Context, e sessionstore.Event) {
			defer close(done)
			<-over
			expect(t, "the trace", ctx.Value(traceKey{}), any("4bf92f"))
			expect(t, "its end", ctx.Err(), nil)
			_, bounded := ctx.Deadline()
			expect(t, "its deadline", bounded, false)
			_, err := sessionstore.FromContext(ctx)
			expect(t, "no session", errors.Is(err, sessionstore.ErrNoMiddleware), true)
		}
	})
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), traceKey{}, "4bf92f"),
		time.Hour)
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://shop.example/", nil)
	site.serve(site.login("ada")).ServeHTTP(httptest.NewRecorder(), r)
	cancel()
	close(over)
	<-done
}

// Close delivers the pending events. An observer that hangs delays it for
// StoreTimeout at most.
func TestCloseDeliversPendingEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) {
			observe := cfg.Observer
			cfg.Observer = func(ctx context.Context, e sessionstore.Event) {
				time.Sleep(time.Second)
				observe(ctx, e)
			}
		})
		site.visit("", site.login("ada"))
		visit(site.serve(nothing), "forged")
		site.check(site.m.Close())
		expect(t, "events delivered", len(site.events), 2)

		hangs, letGo := stuck(t)
		hangs.visit("", hangs.login("ada"))
		visit(hangs.serve(nothing), "forged")
		began := time.Now()
		err := hangs.m.Close()
		expect(t, "took", time.Since(began), 5*time.Second)
		expect(t, "error of Close", err != nil &&
			strings.Contains(err.Error(), "2 events not delivered to the observer") &&
			errors.Is(err, context.DeadlineExceeded), true)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		expect(t, "FlushEvents gives up", errors.Is(hangs.m.FlushEvents(ctx), context.Canceled),
			true)
		letGo()
		expect(t, "in the end", hangs.seen(), "session login, session cookie forged")
	})
}

// After a random history, an observer that lags has received exactly what
// happened.
func TestEventsOfARandomHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const steps = 400
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		site := newSite(t, func(cfg *sessionstore.Config) {
			observe := cfg.Observer
			cfg.Observer = func(ctx context.Context, e sessionstore.Event) {
				time.Sleep(time.Millisecond)
				observe(ctx, e)
			}
		})
		cookies, users, want := make([]string, 5), make([]string, 5), []string{}
		for range steps {
			i := random.IntN(len(cookies))
			act := func(p page) { _, cookies[i] = site.visit(cookies[i], p) }
			switch random.IntN(6) {
			case 0:
				act(site.login("ada"))
				users[i] = "ada"
				want = append(want, "session login")
			case 1:
				act(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					site.check(s.Rotate(r.Context()))
				})
				if users[i] != "" {
					want = append(want, "session rotated")
				}
			case 2:
				act(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
					site.check(s.Logout(r.Context()))
				})
				if users[i] != "" {
					want = append(want, "session logout")
				}
				cookies[i], users[i] = "", ""
			case 3:
				r, err := site.m.RevokeUser(t.Context(), "ada")
				site.check(err)
				if r.Count > 0 {
					want = append(want, "sessions revoked")
				}
				clear(cookies)
				clear(users)
			case 4:
				visit(site.serve(nothing), "forged")
				want = append(want, "session cookie forged")
			case 5:
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			}
		}
		if got := site.seen(); got != strings.Join(want, ", ") {
			t.Errorf("seed %d: got\n%s\nwant\n%s", seed, got, strings.Join(want, ", "))
		}
	})
}
