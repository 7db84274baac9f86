package sessionstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// keysOf returns the names of the values in a change, sorted.
func keysOf(set map[string]json.RawMessage) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), " ")
}

func TestSaveWritesOnlyWhatChanged(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer("a", "b", "c")
	site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		site.check(s.Set("b", 2))
		site.check(s.Delete("c"))
		site.check(s.Set("d", 4))
		site.check(s.Delete("never there"))
	})
	expect(t, "calls of the store", site.store.asked(), "load save")
	change := site.store.of(store.OpSave)[0].Change
	expect(t, "set", keysOf(change.Set), "b d")
	expect(t, "removed", strings.Join(change.Removed, " "), "c")
	expect(t, "the session", site.look(cookie, "a", "b", "c", "d"), "user= a b d")
}

func TestSaveWithoutChangesCostsNothing(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer()
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Save(r.Context()))
		site.check(s.Set("cart", 1))
		site.check(s.Save(r.Context()))
		site.check(s.Save(r.Context()))
	})
	expect(t, "calls of the store", site.store.asked(), "load save")

	site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		ok, err := s.Pop("never there", new(any))
		expect(t, "Pop", ok || err != nil, false)
		site.check(s.Delete("never there"))
	})
	expect(t, "calls of the store for what is not there", site.store.asked(), "load")
}

// Concurrent requests that change different keys are all saved.
func TestChangesOfDifferentKeysMerge(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer("old")
	const requests = 10
	var loaded, all sync.WaitGroup
	loaded.Add(requests)
	for i := range requests {
		all.Go(func() {
			visit(site.serve(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
				loaded.Done()
				loaded.Wait() // all requests load before any of them changes
				site.check(s.Set(fmt.Sprintf("key%d", i), i))
				if i == 0 {
					site.check(s.Delete("old"))
				}
			}), cookie)
		})
	}
	all.Wait()
	keys, want := []string{"old"}, "user="
	for i := range requests {
		keys = append(keys, fmt.Sprintf("key%d", i))
		want += " " + keys[i+1]
	}
	expect(t, "the session", site.look(cookie, keys...), want)
}

func TestChangeAfterTheHeaders(t *testing.T) {
	for _, tt := range []struct {
		name string
		late page
		want string
	}{
		{"a change and no Save", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			_ = s.Set("late", true)
			_ = s.Set("late", false)
			_ = s.Set("later", true)
		}, "user=ada late here later"},
		{"a removal and no Save", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			_ = s.Delete("here")
		}, "user=ada"},
		{"a Pop and no Save", func(
			_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			var v any
			_, _ = s.Pop("here", &v)
		}, "user=ada"},
		{"a change and a Save", func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site := s.Set("late", true)
			if err := errors.Join(site, s.Save(r.Context())); err != nil {
				panic(err)
			}
		}, "user=ada late here"},
		{"a change, a Save and a change", func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			_ = s.Set("late", true)
			_ = s.Save(r.Context())
			_ = s.Set("later", true)
		}, "user=ada late here later"},
		{
			"reading",
			func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) { s.Has("here") },
			"user=ada here",
		},
		{"removing nothing", func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			_ = s.Delete("no")
		}, "user=ada here"},
	} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, loaded before them: %t", tt.name, before), func(t *testing.T) {
				site := newSite(t)
				cookie := site.user("ada")
				h := site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if before {
						_, _ = sessionstore.FromContext(r.Context())
					}
					_, _ = w.Write([]byte("begun"))
					s, err := sessionstore.FromContext(r.Context())
					if err != nil {
						t.Errorf("FromContext: %v", err)
						return
					}
					tt.late(w, r, s)
				}))
				resp, _ := visit(h, cookie)
				expect(t, "status", resp.StatusCode, http.StatusOK)
				expect(t, "events", site.seen(), "")
				expect(t, "the session", site.look(cookie, "late", "here", "later"), tt.want)
			})
		}
	}
}

func TestLateChangeIsLogged(t *testing.T) {
	var log syncBuffer
	site := newSite(t, func(cfg *sessionstore.Config) {
		cfg.Observer = nil
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	cookie := site.user("ada")
	var handle sessionstore.Handle
	site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		handle = s.Handle()
		w.WriteHeader(http.StatusOK)
		site.check(s.Set("cart", "a-value"))
		site.store.Down(store.OpSave)
	})
	site.delivered()
	lines := []string{}
	for line := range strings.SplitSeq(log.String(), "\n") {
		if strings.Contains(line, "change late") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("the log has %d lines about it, want 1:\n%s", len(lines), log.String())
	}
	for _, want := range []string{
		"level=ERROR", "session=" + string(handle), "user_id=ada", "unavailable",
	} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("%q is missing in %s", want, lines[0])
		}
	}
}

const tooLate = `session value "cart": can't be kept: the response began without a session: render into a buffer, or read it before`

func TestChangesOfTheCookieAfterTheHeaders(t *testing.T) {
	needs := map[string]func(context.Context, *sessionstore.Session) error{
		"Login": func(ctx context.Context, s *sessionstore.Session) error {
			return s.Login(ctx, "eve")
		},
		"Logout": func(ctx context.Context, s *sessionstore.Session) error {
			return s.Logout(ctx)
		},
		"Regenerate": func(ctx context.Context, s *sessionstore.Session) error {
			return s.Rotate(ctx)
		},
		"RememberMe": func(_ context.Context, s *sessionstore.Session) error {
			return s.RememberMe(true)
		},
		"ExpireIn": func(ctx context.Context, s *sessionstore.Session) error {
			return s.ExpireIn(ctx, time.Hour)
		},
		"RememberMe off": func(_ context.Context, s *sessionstore.Session) error {
			return s.RememberMe(false)
		},
	}
	starts := map[string]func(context.Context, *sessionstore.Session) error{
		"Set": func(_ context.Context, s *sessionstore.Session) error {
			return s.Set("cart", 1)
		},
		"Delete": func(_ context.Context, s *sessionstore.Session) error {
			return s.Delete("cart")
		},
		"Pop": func(_ context.Context, s *sessionstore.Session) error {
			_, err := s.Pop("cart", new(any))
			return err
		},
	}
	site := newSite(t)
	for _, loaded := range []bool{true, false} {
		for visitor, cookie := range map[string]string{
			"a user": site.user("ada"), "a visitor": "",
		} {
			late := maps.Clone(needs)
			if cookie == "" {
				maps.Copy(late, starts)
			}
			for name, f := range late {
				t.Run(fmt.Sprintf("%s by %s, loaded before them: %t", name, visitor, loaded), func(
					t *testing.T,
				) {
					rows := site.store.rows()
					resp, _ := visit(site.m.Handler(http.HandlerFunc(func(
						w http.ResponseWriter, r *http.Request,
					) {
						if loaded {
							_, _ = sessionstore.FromContext(r.Context())
						}
						w.(http.Flusher).Flush()
						s, err := sessionstore.FromContext(r.Context())
						site.check(err)
						err = f(r.Context(), s)
						if !errors.Is(err, sessionstore.ErrHeadersSent) {
							t.Errorf("got %v, want ErrHeadersSent", err)
						}
						if _, starting := starts[name]; starting {
							expect(t, "the error", err.Error(), tooLate)
						}
						site.check(s.Save(r.Context()))
					})), cookie)
					expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 0)
					expect(t, "rows", site.store.rows(), rows)
					expect(t, "EventChangeLate", site.m.Count(sessionstore.EventChangeLate), 0)
				})
			}
			if cookie != "" {
				expect(t, "the session", site.look(cookie, "here"), "user=ada here")
			}
		}
	}
}

func TestSessionAfterSaveIsTheStored(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer()
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.visit(cookie, func(
			_ http.ResponseWriter, _ *http.Request, other *sessionstore.Session,
		) {
			site.check(other.Set("theirs", 1))
		})
		expect(t, "theirs before", s.Has("theirs"), false)
		site.check(s.Set("ours", 1))
		site.check(s.Delete("here"))
		site.check(s.Save(r.Context()))
		expect(t, "ours", s.Has("ours"), true)
		expect(t, "theirs", s.Has("theirs"), true)
		expect(t, "here", s.Has("here"), false)
		rec, _ := s.Record()
		expect(t, "Version", rec.Version, 3)
	})
}

func TestSaveThatFailsKeepsTheChangePending(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer()
	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.store.Down(store.OpSave)
		site.check(s.Set("cart", 1))
		if err := s.Save(r.Context()); !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Errorf("Save: %v, want ErrUnavailable", err)
		}
		site.store.Up()
	})
	expect(t, "the session", site.look(cookie, "cart"), "user= cart")
}

func TestSaveOfASessionEndedElsewhere(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit(site.newcomer(), func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		rec, _ := s.Record()
		site.end(rec.ID)
		site.check(s.Set("lost", 1))
		if err := s.Save(r.Context()); !errors.Is(err, sessionstore.ErrNotFound) {
			t.Errorf("Save: %v, want ErrNotFound", err)
		}
		expect(t, "values of the old session", s.Has("lost") || s.Has("here"), false)
		site.check(s.Set("fresh", 1))
	})
	expect(t, "the session", site.look(cookie, "lost", "here", "fresh"), "user= fresh")
	expect(t, "rows", site.store.rows(), 1)
}
