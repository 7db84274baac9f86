package sessionstore_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestUsesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		const visitors, visits = 40, 5
		cookies := make([]string, visitors)
		for i := range cookies {
			cookies[i] = site.newcomer()
		}
		time.Sleep(time.Hour)
		start := time.Now()
		for range visits {
			for _, cookie := range cookies {
				site.visit(cookie, nothing)
			}
			time.Sleep(10 * time.Millisecond)
		}
		site.store.asked()
		time.Sleep(sessionstore.TouchEvery - time.Since(start))
		synctest.Wait()
		expect(t, "calls of the store", site.store.asked(), "touch")
		expect(t, "touches in it", len(site.store.of(store.OpTouch)[0].Touches), visitors)

		// The touch has moved the deadline.
		site.visit(cookies[0], func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			rec, _ := s.Record()
			expect(t, "LastSeenAt", rec.LastSeenAt.Equal(start.Add(sessionstore.TouchEvery)), true)
			if rec.ExpiresAt.Before(start.Add(7 * 24 * time.Hour)) {
				t.Errorf("ExpiresAt is %v after the use", rec.ExpiresAt.Sub(start))
			}
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "calls of the store afterwards", site.store.asked(), "load")
	})
}

func TestUseIsWrittenWhenDue(t *testing.T) {
	set := func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		_ = s.Set("cart", 1)
	}
	for _, tt := range []struct {
		name   string
		config func(*sessionstore.Config)
		after  time.Duration // since the last write of the session
		page   page
		want   int
	}{
		{"a second later", nil, time.Second, nothing, 0},
		{"just before a minute", nil, time.Minute - time.Nanosecond, nothing, 0},
		{"a minute later", nil, time.Minute, nothing, 1},
		{"a change counts as a use", nil, time.Hour, set, 0},
		{"logging out is no use", nil, time.Hour, logOut, 0},
		{
			"a tenth of a short timeout",
			func(cfg *sessionstore.Config) { cfg.IdleTimeout = 100 * time.Second },
			10 * time.Second, nothing, 1,
		},
		{
			"less than a tenth of a short timeout",
			func(cfg *sessionstore.Config) { cfg.IdleTimeout = 100 * time.Second }, 9 * time.Second,
			nothing, 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t, func(cfg *sessionstore.Config) {
					if tt.config != nil {
						tt.config(cfg)
					}
				})
				cookie := site.newcomer()
				time.Sleep(tt.after)
				site.visit(cookie, tt.page)
				time.Sleep(2 * sessionstore.TouchEvery)
				synctest.Wait()
				expect(t, "calls of Touch", len(site.store.of(store.OpTouch)), tt.want)
			})
		})
	}
}

// A page may stream for longer than the idle timeout.
func TestStreamingPageIsWrittenWhenItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		time.Sleep(time.Hour)
		site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session) {
			w.(http.Flusher).Flush()
			time.Sleep(2 * sessionstore.TouchEvery)
			synctest.Wait()
			expect(t, "calls of Touch in mid-stream", len(site.store.of(store.OpTouch)), 1)
		})
		site.check(site.m.Close())
		expect(t, "calls of Touch", len(site.store.of(store.OpTouch)), 1)
	})
}

func TestUseAfterHeadersIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		time.Sleep(time.Hour)
		visit(site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_, err := sessionstore.FromContext(r.Context())
			site.check(err)
		})), cookie)
		site.check(site.m.Close())
		expect(t, "calls of Touch", len(site.store.of(store.OpTouch)), 1)
	})
}

func TestPendingUsesAreWrittenAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		time.Sleep(time.Hour)
		site.visit(cookie, nothing)
		expect(t, "calls of Touch before", len(site.store.of(store.OpTouch)), 0)
		site.check(site.m.Close())
		expect(t, "calls of Touch", len(site.store.of(store.OpTouch)), 1)

		site.check(site.m.Close()) // a second Close does nothing
		time.Sleep(time.Hour)
		site.visit(cookie, nothing)
		time.Sleep(time.Hour)
		expect(t, "calls of Touch after", len(site.store.of(store.OpTouch)), 1)
	})
}

func TestCloseWaitsForTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		time.Sleep(time.Hour)
		site.visit(cookie, nothing)
		held := site.store.hold(store.OpTouch)
		arrived(t, held)
		closed := make(chan error, 1)
		go func() { closed <- site.m.Close() }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("Close returned (%v) while a touch was in the store", err)
		default:
		}
		held.Release()
		expect(t, "Close", <-closed, nil)
	})
}

func TestCloseReportsLostTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		time.Sleep(time.Hour)
		site.visit(cookie, nothing)
		site.store.Down(store.OpTouch)
		if err := site.m.Close(); err == nil {
			t.Error("Close returned no error")
		}
		expect(t, "Count", site.event(sessionstore.EventTouchFailed).Count, 1)
	})
}

func TestFailedTouchesAreReportedAndDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookies := []string{site.newcomer(), site.newcomer(), site.newcomer()}
		time.Sleep(time.Hour)
		site.store.Down(store.OpTouch)
		for _, cookie := range cookies {
			site.visit(cookie, nothing)
		}
		time.Sleep(sessionstore.TouchEvery)
		synctest.Wait()
		failed := site.event(sessionstore.EventTouchFailed)
		expect(t, "Count", failed.Count, len(cookies))
		expect(t, "Err", failed.Err != nil, true)
		expect(t, "Manager.Count", site.m.CountSessions(sessionstore.EventTouchFailed),
			int64(len(cookies)))
		time.Sleep(time.Minute)
		synctest.Wait()
		expect(t, "calls of Touch", len(site.store.of(store.OpTouch)), 1)

		// The touch is still due, so the next use is written.
		site.store.Up()
		site.visit(cookies[0], nothing)
		time.Sleep(sessionstore.TouchEvery)
		synctest.Wait()
		expect(t, "calls of Touch when the store is up again", len(site.store.of(store.OpTouch)), 2)
	})
}

// A store that hangs in Touch delays no request and no later touch.
func TestTouchNeverDelaysARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.StoreTimeout = time.Hour })
		cookie := site.newcomer()
		time.Sleep(time.Hour)
		held := site.store.hold(store.OpTouch)
		site.visit(cookie, nothing)
		arrived(t, held)
		start := time.Now()
		for range 3 {
			resp, _ := site.visit(cookie, nothing)
			expect(t, "status", resp.StatusCode, http.StatusOK)
		}
		expect(t, "time", time.Since(start), 0)
		arrived(t, held) // the next batch is sent while the first one hangs
		expect(t, "time of the next batch", time.Since(start), sessionstore.TouchEvery)
		held.Release()
		site.check(site.m.Close())
	})
}

func TestTouchEndsAfterStoreTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.StoreTimeout = 3 * time.Second })
		cookie := site.newcomer()
		time.Sleep(time.Hour)
		held := site.store.hold(store.OpTouch)
		defer held.Release()
		site.visit(cookie, nothing)
		time.Sleep(sessionstore.TouchEvery + 3*time.Second)
		synctest.Wait()
		site.event(sessionstore.EventTouchFailed)
	})
}

func TestTouchHasTheChangedClient(t *testing.T) {
	type sight struct {
		addr, agent string
	}
	home := sight{"203.0.113.5", "Browser/1.0"}
	for _, tt := range []struct {
		name   string
		noMeta bool
		uses   []sight
		ip     string
		agent  string
	}{
		{"the same client is not written again", false, []sight{home}, "", ""},
		{"a new address", false, []sight{{"203.0.113.6", "Browser/1.0"}}, "203.0.113.6", ""},
		{"a new program", false, []sight{{"203.0.113.5", "Browser/2.0"}}, "", "Browser/2.0"},
		{
			"the last of several", false,
			[]sight{{"203.0.113.6", "Browser/2.0"}, {"203.0.113.7", "Browser/1.0"}},
			"203.0.113.7",
			"Browser/2.0",
		},
		{"nothing when it is not tracked", true, []sight{{"203.0.113.6", "Browser/2.0"}}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t,
					func(cfg *sessionstore.Config) { cfg.Privacy.DisableMetadata = tt.noMeta })
				var cookie string
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.RemoteAddr = home.addr + ":1234"
				r.Header.Set("User-Agent", home.agent)
				w := httptest.NewRecorder()
				site.serve(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
					site.check(s.Set("cart", 1))
				}).ServeHTTP(w, r)
				if c, ok := sessionCookie(w.Result()); ok {
					cookie = c.Value
				}
				created := site.store.of(store.OpCreate)[0].Draft.Client
				expect(t, "the client of the new session",
					created.UserAgent == home.agent && created.IP.String() == home.addr, !tt.noMeta)

				time.Sleep(time.Hour)
				for _, use := range tt.uses {
					site.come(cookie, use.addr, use.agent, nothing)
				}
				site.check(site.m.Close())
				if len(site.store.of(store.OpTouch)) != 1 ||
					len(site.store.of(store.OpTouch)[0].Touches) != 1 {
					t.Fatalf("touches: %v, want one", site.store.of(store.OpTouch))
				}
				var ip netip.Addr
				if tt.ip != "" {
					ip = netip.MustParseAddr(tt.ip)
				}
				expect(t, "client", site.store.of(store.OpTouch)[0].Touches[0].Client,
					sessionstore.Client{IP: ip, UserAgent: tt.agent})
			})
		})
	}
}

func TestTouchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		touch := func(i int, agent string) {
			var id store.ID
			copy(id[:], fmt.Sprint(i))
			site.m.AddTouch(store.Touch{ID: id, Client: sessionstore.Client{UserAgent: agent}})
		}
		for i := range sessionstore.MaxTouches + 5 {
			touch(i, "")
		}
		touch(0, "news of one that is there")
		var batch []store.Touch
		site.store.on(store.OpTouch, func(context.Context) error { return nil })
		site.check(site.m.Close())
		batch = site.store.of(store.OpTouch)[0].Touches
		expect(t, "touches", len(batch), sessionstore.MaxTouches)
		news := 0
		for _, touch := range batch {
			if touch.UserAgent != "" {
				news++
			}
		}
		expect(t, "touches with news", news, 1)
	})
}
