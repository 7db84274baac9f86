package scsstore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// site plays a SessionManager of scs over a store: the calls that it makes of
// its store, in its order. integration/peers has the real one.
type site struct {
	*Store

	t        *testing.T
	memory   *counted
	lifetime time.Duration
	idle     time.Duration // 0 is none
}

var expiry = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}

// counted counts the writes of a store.
type counted struct {
	store.Store

	writes, touches atomic.Int64
}

func (c *counted) Save(
	ctx context.Context, id store.ID, change store.Change,
) (store.Record, error) {
	c.writes.Add(1)
	return c.Store.Save(ctx, id, change)
}

func (c *counted) Touch(ctx context.Context, t []store.Touch) error {
	c.touches.Add(1)
	return c.Store.Touch(ctx, t)
}

func newSite(t *testing.T, o Options) *site {
	t.Helper()
	memory := &counted{Store: sessionstore.NewMemory(expiry, 0)}
	return &site{Store: New(memory, o), t: t, memory: memory, lifetime: 24 * time.Hour}
}

// visit is a request that scs's LoadAndSave serves.
type visit struct {
	site     *site
	ctx      context.Context
	token    string
	deadline time.Time
	values   map[string]any
}

// serve runs a request with a token, "" for none. The handler returns whether
// scs commits at its end.
func (s *site) serve(token string, handle func(*visit) bool) (string, error) {
	s.t.Helper()
	var out string
	var failed error
	scs := func(next http.Handler) http.Handler { return next }
	h := s.Wrap(scs)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		v := s.load(r.Context(), token)
		if handle(v) || s.idle > 0 && v.token != "" {
			failed = v.commit()
		}
		out = v.token
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	return out, failed
}

// load is what SessionManager.Load does.
func (s *site) load(ctx context.Context, token string) *visit {
	s.t.Helper()
	v := &visit{
		site: s, ctx: ctx, deadline: time.Now().Add(s.lifetime), values: map[string]any{},
	}
	if token == "" {
		return v
	}
	data, found, err := s.FindCtx(ctx, token)
	if err != nil {
		s.t.Fatal(err)
	}
	if found {
		v.token = token
		if v.deadline, v.values, err = s.Codec().Decode(data); err != nil {
			s.t.Fatal(err)
		}
	}
	return v
}

func (v *visit) commit() error {
	if v.token == "" {
		v.token = newToken()
	}
	data, err := v.site.Codec().Encode(v.deadline, v.values)
	if err != nil {
		return err
	}
	expiry := v.deadline
	if end := time.Now().Add(v.site.idle); v.site.idle > 0 && end.Before(expiry) {
		expiry = end
	}
	return v.site.CommitCtx(v.ctx, v.token, data, expiry)
}

// renew is what SessionManager.RenewToken does.
func (v *visit) renew() error {
	if v.token != "" {
		if err := v.site.DeleteCtx(v.ctx, v.token); err != nil {
			return err
		}
	}
	v.token, v.deadline = newToken(), time.Now().Add(v.site.lifetime)
	return nil
}

func newToken() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// put serves a request that sets a value.
func (s *site) put(token, key string, value any) string {
	s.t.Helper()
	token, err := s.serve(token, func(v *visit) bool {
		v.values[key] = value
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// values returns those of a session; nil without one.
func (s *site) values(token string) (values map[string]any) {
	s.t.Helper()
	_, err := s.serve(token, func(v *visit) bool {
		if v.token != "" {
			values = v.values
		}
		return false
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return values
}
