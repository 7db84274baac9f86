package sessionstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// stream is an open connection that ends with its session.
type stream struct {
	t     *testing.T
	ctx   context.Context
	s     *sessionstore.Session
	close context.CancelFunc // as when the client disconnects
	done  chan struct{}
}

// open begins a response that lasts until the watch ends or the client
// disconnects. prepare runs between the watch and the first byte.
func (s *site) open(t *testing.T, cookie string, prepare page) *stream {
	t.Helper()
	st := &stream{t: t, done: make(chan struct{})}
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/events", nil)
	r.Header.Set("Cookie", cookieName+"="+cookie)
	ctx, leave := context.WithCancel(r.Context())
	st.close = leave
	started := make(chan struct{})
	go func() {
		defer close(st.done)
		s.serve(func(w http.ResponseWriter, r *http.Request, sess *sessionstore.Session) {
			watch, cancel := sess.Watch(r.Context())
			defer cancel()
			st.ctx, st.s = watch, sess
			prepare(w, r, sess)
			w.(http.Flusher).Flush()
			close(started)
			<-watch.Done()
		}).ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	}()
	<-started
	return st
}

// cause returns why a stream ended; nil while it is open.
func (st *stream) cause() error {
	if st.ctx.Err() == nil {
		return nil
	}
	<-st.done
	return context.Cause(st.ctx)
}

func (st *stream) expect(what string, want error) {
	st.t.Helper()
	if got := st.cause(); want == nil && got != nil || !errors.Is(got, want) {
		st.t.Errorf("%s: the stream's cause is %v, want %v", what, got, want)
	}
}

// id returns the id of the session.
func (st *stream) id() store.ID {
	rec, _ := st.s.Record()
	return rec.ID
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// asksAlive returns the number of Alive calls since its last call.
func (s *site) asksAlive() int {
	all := len(s.store.of(store.OpAlive))
	n := all - s.alives
	s.alives = all
	return n
}

func TestWatchEndsWithTheSession(t *testing.T) {
	for name, end := range map[string]func(*site, string){
		"a logout elsewhere": func(s *site, cookie string) {
			s.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
			) {
				s.check(sess.Logout(r.Context()))
			})
		},
		"its user is revoked": func(s *site, _ string) {
			_, err := s.m.RevokeUser(s.t.Context(), "ada")
			s.check(err)
		},
		"all sessions are revoked": func(s *site, _ string) {
			_, err := s.m.RevokeAll(s.t.Context())
			s.check(err)
		},
		"a new token elsewhere": func(s *site, cookie string) {
			s.visit(cookie, func(
				_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
			) {
				s.check(sess.Rotate(r.Context()))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := newSite(t)
				cookie := site.user("ada")
				st, eves := site.open(t, cookie, nothing), site.open(t, site.user("eve"), nothing)
				pass(time.Minute)
				st.expect("before", nil)
				end(site, cookie)
				pass(time.Second)
				st.expect("a second later", sessionstore.ErrNotFound)
				if name != "all sessions are revoked" {
					eves.expect("another user", nil)
				}
				eves.close()
				site.check(site.m.Close())
			})
		})
	}
}

// EndWatches ends the streams, so that http.Server.Shutdown can finish before
// the Manager is closed.
func TestEndWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ada")
		st := site.open(t, cookie, nothing)
		for range 2 {
			site.m.EndWatches()
			synctest.Wait()
			st.expect("one that was open", sessionstore.ErrUnavailable)
		}
		site.open(t, cookie, nothing).expect("one that comes later", sessionstore.ErrUnavailable)
		site.visit(cookie, func(
			_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
		) {
			site.check(sess.Set("n", 1)) // requests still work
			site.check(sess.Save(r.Context()))
		})
		site.check(site.m.Close())
	})
}

// An open stream is no use of its session.
func TestWatchEndsWithTheTimeouts(t *testing.T) {
	const idle, absolute = 2 * time.Minute, 10 * time.Minute
	expiry := store.Expiry{Idle: idle, Absolute: absolute}
	short := func(cfg *sessionstore.Config) {
		cfg.IdleTimeout, cfg.AbsoluteTimeout = idle, absolute
	}
	for name, end := range map[string]func(*site, string, *stream){
		"idle": func(_ *site, _ string, st *stream) {
			pass(idle - 2*time.Second)
			st.expect("just before", nil)
			pass(2*time.Second + expiry.Resolution())
		},
		"absolute": func(s *site, cookie string, st *stream) {
			for left := absolute; left > time.Minute; left -= time.Minute {
				pass(time.Minute)
				st.expect("in use", nil)
				s.visit(cookie, nothing)
			}
			pass(time.Minute + time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				site := newSiteOver(t, newSpy(newMemory(expiry)), short)
				cookie := site.user("ada")
				st := site.open(t, cookie, nothing)
				end(site, cookie, st)
				st.expect("after", sessionstore.ErrNotFound)
				site.check(site.m.Close())
			})
		})
	}
}

func TestWatchesShareAQueryASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		const connections, sessions = 1000, 250
		cookies := make([]string, sessions)
		for i := range cookies {
			cookies[i] = site.user("ada")
		}
		streams := make([]*stream, connections)
		for i := range streams {
			streams[i] = site.open(t, cookies[i%sessions], nothing)
		}
		site.store.asked()
		for range 60 {
			pass(time.Second)
			if n := site.asksAlive(); n != 1 {
				t.Fatalf("%d queries in a second, want 1", n)
			}
		}
		_, err := site.m.RevokeUser(t.Context(), "ada")
		site.check(err)
		pass(time.Second)
		expect(t, "queries", site.asksAlive(), 1)
		for _, st := range streams {
			st.expect("after the revoke", sessionstore.ErrNotFound)
		}
		// No stream is open, so no query runs.
		expect(t, "a check is set", site.m.Watching(), false)
		pass(time.Hour)
		expect(t, "queries when nothing is open", site.asksAlive(), 0)
		expect(t, "calls", site.store.asked() != "", true)
	})
}

func TestWatchQueriesEachSessionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie, other := site.user("ada"), site.user("ada")
		streams := []*stream{
			site.open(t, cookie, nothing), site.open(t, cookie, nothing),
			site.open(t, other, nothing),
		}
		pass(time.Second)
		expect(t, "ids in the query", len(site.store.of(store.OpAlive)[0].IDs), 2)
		expect(t, "a check is set", site.m.Watching(), true)
		for _, st := range streams {
			st.close()
		}
		pass(0)
		expect(t, "a check is set when all have left", site.m.Watching(), false)
		site.asksAlive()
		pass(time.Hour)
		expect(t, "queries when all have left", site.asksAlive(), 0)

		// A later stream starts the timer again.
		late := site.open(t, cookie, nothing)
		site.revoke(cookie)
		pass(time.Second)
		late.expect("after the revoke", sessionstore.ErrNotFound)
		expect(t, "queries", site.asksAlive(), 1)
	})
}

func TestWatchEndsWhenTheClientDisconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		st := site.open(t, site.user("ada"), nothing)
		st.close()
		pass(0)
		st.expect("after the client left", context.Canceled)
	})
}

// A hijacked connection outlives its request.
func TestWatchOutlivesTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.user("ada")
		var watch context.Context
		var cancel context.CancelFunc
		site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			watch, cancel = s.Watch(context.WithoutCancel(r.Context()))
		})
		defer cancel()
		pass(time.Minute)
		expect(t, "after the request", watch.Err(), nil)
		site.revoke(cookie)
		pass(time.Second)
		expect(t, "after the revoke", errors.Is(context.Cause(watch), sessionstore.ErrNotFound),
			true)
	})
}

// Streams open and close while sessions end.
func TestWatchesUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		var wg sync.WaitGroup
		for i := range 50 {
			cookie := site.user("ada")
			wg.Go(func() {
				for range 20 {
					st := site.open(t, cookie, nothing)
					time.Sleep(time.Duration(i) * 37 * time.Millisecond)
					if i%5 == 0 {
						site.end(st.id())
					}
					st.close()
					<-st.done
					if errors.Is(context.Cause(st.ctx), sessionstore.ErrNotFound) && i%5 != 0 {
						t.Error("a stream of a living session was ended")
					}
				}
			})
		}
		wg.Wait()
		site.check(site.m.Close())
	})
}
