package sessionstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

func TestSessionKeepsValues(t *testing.T) {
	b := newSite(t).browser("")
	b.use(func(s *sessionstore.Session) {
		b.site.check(s.Set("n", 1), s.Set("text", "a\ufffd\\u0000"), s.Set("nothing", nil),
			s.Set("gone", 1), s.Delete("gone"), s.Delete("never"))
		if !s.Has("n") || s.Has("gone") {
			t.Error("a value that was just set or removed is not")
		}
	})
	b.use(func(s *sessionstore.Session) {
		var n int
		var text string
		ok, err := s.Get("n", &n)
		also, err2 := s.Get("text", &text)
		if b.site.check(err, err2); !ok || !also || n != 1 || text != "a\ufffd\\u0000" {
			t.Errorf("%v %v %d %q", ok, also, n, text)
		}
		if !s.Has("nothing") || s.Has("gone") || s.Has("never") || s.Has("") {
			t.Error("a null is not a value, or a removed one is")
		}
		b.site.check(s.Delete("n"), s.Set("text", "other"))
		n = 7
		if ok, err := s.Get("n", &n); ok || err != nil || n != 7 {
			t.Errorf("a removed value: %v, %v, and the destination is %d", ok, err, n)
		}
	})
	b.use(func(s *sessionstore.Session) {
		if s.Has("n") || !s.Has("text") {
			t.Error("the removal was not saved")
		}
		for what, dst := range map[string]any{
			"no pointer": 0, "nil": nil, "a nil pointer": (*int)(nil), "another type": new(int),
		} {
			var fault *sessionstore.ValueError
			if ok, err := s.Get("text", dst); !ok || !errors.As(err, &fault) ||
				fault.Key != "text" || strings.Contains(err.Error(), "other") {
				t.Errorf("Get into %s: %v, %v", what, ok, err)
			}
		}
	})
}

func TestRefusedValueKeepsTheOldOne(t *testing.T) {
	b := newSite(t).browser("")
	b.use(func(s *sessionstore.Session) { b.site.check(s.Set("k", "old"), s.Set("other", 1)) })
	b.use(func(s *sessionstore.Session) {
		for what, v := range map[string]any{
			"NUL": "\x00", "a channel": make(chan int), "half a pair": json.RawMessage(`"\ud800"`),
			"too much": strings.Repeat("x", 1<<20),
		} {
			var fault *sessionstore.ValueError
			if err := s.Set("k", v); !errors.As(err, &fault) || fault.Key != "k" {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
	b.use(func(s *sessionstore.Session) {
		var v string
		if ok, err := s.Get("k", &v); !ok || err != nil || v != "old" || !s.Has("other") {
			t.Errorf("%v %v %q", ok, err, v)
		}
	})
}

// The limit counts bytes of JSON, and may count a comma after the last member.
func TestSessionSizeLimit(t *testing.T) {
	const limit = 1000
	atMost := func(c *sessionstore.Config) { c.Limits.MaxDataSize = limit }
	b := newSite(t, atMost).browser("")
	size := func(s *sessionstore.Session) int { r, _ := s.Record(); return len(r.Data) }
	text := func(n int) string { return strings.Repeat("x", n) }
	b.use(func(s *sessionstore.Session) {
		b.site.check(s.Set("a", 1))
		n := limit
		for s.Set("b", text(n)) != nil {
			n--
		}
		b.site.check(s.Save(context.Background()))
		if got := size(s); got > limit || got < limit-1 {
			t.Errorf("the largest data that are accepted have %d bytes, want %d", got, limit)
		}
		var fault *sessionstore.ValueError
		if err := s.Set("b", text(n+1)); !errors.As(err, &fault) || fault.Key != "b" ||
			!strings.Contains(err.Error(), "1000 bytes") {
			t.Errorf("a byte more: %v", err)
		}
		if err := s.Set("c", 1); err == nil {
			t.Error("another value, where there is no room for one")
		}
		b.site.check(s.Set("b", text(n)), s.Set("b", text(n-1)), s.Delete("a"), s.Set("c", 1))
	})

	// A new release has a smaller limit: existing data may shrink step by step,
	// but not grow.
	small := newSite(t).browser("")
	small.use(func(s *sessionstore.Session) {
		b.site.check(s.Set("big", text(5000)), s.Set("small", 1))
	})
	strict := small.copied()
	strict.site = newSiteOver(t, small.site.store, atMost)
	strict.use(func(s *sessionstore.Session) {
		if s.Set("big", text(5001)) == nil || s.Set("new", 1) == nil || s.Set("small", 12) == nil {
			t.Error("data above the limit grow")
		}
		b.site.check(s.Set("big", text(4999)), s.Set("big", text(3000)))
		if s.Set("big", text(3001)) == nil {
			t.Error("data above the limit grow again")
		}
		b.site.check(s.Delete("big"), s.Set("new", 1), s.Set("small", 12))
	})
}

// Data that another program wrote must not lock the user out.
func TestSessionWithForeignData(t *testing.T) {
	for _, data := range []string{
		`[1,2]`, `"text"`, `1`, `true`, `null`, ` `, `{"a":`, `[{"a":1}]`,
	} {
		site := newSite(t)
		site.store.Inject(fault.Rule{Do: func(_ context.Context, c *fault.Call) error {
			c.Draft.Data = json.RawMessage(data) // written by another program
			return nil
		}}, store.OpCreate)
		b := site.browser("")
		b.use(func(s *sessionstore.Session) { b.site.check(s.Login(context.Background(), "ann")) })
		b.use(func(s *sessionstore.Session) {
			var v any
			if ok, err := s.Get("a", &v); ok || err != nil || s.UserID() != "ann" {
				t.Errorf("%s: %v, %v, user %q", data, ok, err, s.UserID())
			}
			b.site.check(s.Set("a", 1), s.Delete("b"))
		})
		b.use(func(s *sessionstore.Session) {
			if !s.Has("a") || s.UserID() != "ann" {
				t.Errorf("%s: what was set is lost", data)
			}
		})
	}
}

func TestSessionByManyGoroutines(t *testing.T) {
	b := newSite(t).browser("")
	const n = 16
	all := func(fn func(i int)) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { fn(i) })
		}
		wg.Wait()
	}
	b.use(func(s *sessionstore.Session) {
		all(func(i int) {
			b.site.check(s.Set(fmt.Sprint(i), i), s.Set("shared", i), s.Set("message", "once"))
			_, _ = s.Get("shared", new(int))
			_, _, _ = s.Has("0"), s.UserID(), fmt.Sprint(s)
			if i%4 == 0 {
				b.site.check(s.Save(context.Background()))
			}
		})
	})
	var popped atomic.Int32
	b.use(func(s *sessionstore.Session) {
		all(func(i int) {
			var v int
			if ok, err := s.Get(fmt.Sprint(i), &v); !ok || err != nil || v != i {
				t.Errorf("value %d: %v %v %d", i, ok, err, v)
			}
			if ok, err := s.Pop("message", new(string)); err != nil {
				t.Error(err)
			} else if ok {
				popped.Add(1)
			}
			b.site.check(s.Delete(fmt.Sprint(i)))
		})
	})
	if popped.Load() != 1 {
		t.Errorf("a message was popped %d times", popped.Load())
	}
	b.use(func(s *sessionstore.Session) {
		if rec, _ := s.Record(); !strings.HasPrefix(string(rec.Data), `{"shared":`) ||
			strings.Contains(string(rec.Data), ",") {
			t.Errorf("left: %s", rec.Data)
		}
	})
}

func TestSessionAfterItsRequest(t *testing.T) {
	b := newSite(t).browser("")
	var s *sessionstore.Session
	b.use(func(got *sessionstore.Session) { s = got; b.site.check(s.Set("k", 1)) })
	ctx := context.Background()
	key := sessionstore.NewKey[int]("k")
	_, get := s.Get("k", new(int))
	_, pop := s.Pop("k", new(int))
	_, keyGet := key.Get(s)
	_, _, keyPop := key.Pop(s)
	for what, err := range map[string]error{
		"Get": get, "Pop": pop, "Set": s.Set("k", 2), "Delete": s.Delete("k"), "Save": s.Save(ctx),
		"Login":  s.Login(ctx, "ann"),
		"Logout": s.Logout(ctx), "Regenerate": s.Rotate(ctx), "RememberMe": s.RememberMe(true),
		"ExpireIn": s.ExpireIn(ctx, time.Hour),
		"Key.Get":  keyGet, "Key.Pop": keyPop, "Key.Set": key.Set(s, 2),
		"Key.Delete": key.Delete(s),
	} {
		if !errors.Is(err, sessionstore.ErrRequestEnded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if s.Has("k") {
		t.Error("a session that has ended has values")
	}
}

// A value's own coding uses the session that it is in.
func TestValueThatUsesItsSession(t *testing.T) {
	site := newSite(t)
	site.visit(site.user("ann"), func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("cart", reentrant{s}))
		for _, read := range []func(string, any) (bool, error){s.Get, s.Pop} {
			cart := reentrant{s}
			ok, err := read("cart", &cart)
			site.check(err)
			expect(t, "found", ok, true)
		}
		expect(t, "after Pop", s.Has("cart"), false)
		expect(t, "what the coding set", s.Has("coded"), true)
	})
}

// reentrant sets a value of its session when it is encoded or decoded.
type reentrant struct{ s *sessionstore.Session }

func (r reentrant) MarshalJSON() ([]byte, error) {
	return []byte("1"), r.s.Set("coded", r.s.UserID())
}

func (r *reentrant) UnmarshalJSON([]byte) error { return r.s.Set("coded", r.s.UserID()) }
