package owner_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

func TestDevicesOfAUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.instance(), h.instance()
	mine, other, eves := a.login("ada"), b.login("ada"), b.login("eve")
	var handle, foreign sessionstore.Handle
	a.visit(mine, func(_ context.Context, s *sessionstore.Session) { handle = s.Handle() })
	b.visit(eves, func(_ context.Context, s *sessionstore.Session) { foreign = s.Handle() })
	infos, err := a.List(t.Context(), "ada", sessionstore.Page{})
	a.check(err)
	if len(infos) != 2 || infos[1].Handle != handle {
		t.Fatalf("sessions %v, want two, the one that began first at the end", infos)
	}
	_, err = a.Revoke(t.Context(), "ada", foreign)
	expect(t, "a handle of another user", errors.Is(err, sessionstore.ErrNotFound), true)
	r, err := b.Revoke(t.Context(), "ada", infos[0].Handle)
	b.check(err)
	expect(t, "Revocation", r, sessionstore.Revocation{Count: 1, Committed: true, CacheAcked: true})
	expect(t, "the other device", a.who(other), "")
	expect(t, "this device", b.who(mine), "ada")
	expect(t, "another user", a.who(eves), "eve")
	expect(t, "the handle as a cookie", a.who(string(handle)), "")
}

// An invalid user id is refused without a query, and the longest valid one
// works.
func TestUserIDsOnPostgres(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	in := h.instance()
	before := in.sent.Count("")
	for _, id := range []string{"", "a\x00b", "a\xff", strings.Repeat("u", 257)} {
		_, list := in.List(t.Context(), id, sessionstore.Page{})
		_, one := in.Revoke(t.Context(), id, "AAAAAAAAAAAAAAAAAAAAAA")
		_, user := in.RevokeUser(t.Context(), id)
		for _, err := range []error{list, one, user} {
			var bad *sessionstore.ValueError
			expect(t, fmt.Sprintf("the error of %.5q", id), errors.As(err, &bad), true)
		}
	}
	expect(t, "statements", in.sent.Count("")-before, 0)
	for _, id := range []string{
		strings.Repeat("u", 256), strings.Repeat("é", 128), "'; DROP TABLE pgsession.sessions; --",
		"%", "a\nb",
	} {
		cookie := in.login(id)
		infos, err := in.List(t.Context(), id, sessionstore.Page{})
		expect(t, "sessions", len(infos), 1)
		in.check(err)
		r, err := in.RevokeUser(t.Context(), id)
		in.check(err)
		expect(t, "revoked", r.Count, 1)
		expect(t, "the session", in.who(cookie), "")
	}
	for _, handle := range []sessionstore.Handle{
		"\x00", "é", "AAAA", sessionstore.Handle(strings.Repeat("A", 1<<20)),
	} {
		_, err := in.Revoke(t.Context(), "ada", handle)
		expect(t, "a handle that is none", errors.Is(err, sessionstore.ErrNotFound), true)
	}
}

// In an emergency the sessions of a user are unknown. A request can still
// revoke its own.
func TestRevokesOfAUserFailInAnEmergency(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused := l.Addr().String()
	_ = l.Close()
	u, err := url.Parse(pgtest.ServerURL(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = unused
	h := &house{t: t, url: u.String()}
	pool, sent := h.pool(func(pc *pgxpool.Config) { pc.ConnConfig.ConnectTimeout = time.Second })
	in := h.over(pool, sent, func(cfg *sessionstore.Config) {
		cfg.Outage.DisableEmergency, cfg.StoreTimeout = false, time.Second
	})
	cookie := in.login("ada")
	expect(t, "the session", in.who(cookie), "ada")
	var handle sessionstore.Handle
	in.visit(cookie, func(ctx context.Context, s *sessionstore.Session) {
		handle = s.Handle()
		_, others := s.RevokeOthers(ctx)
		expect(t, "RevokeOthers", errors.Is(others, sessionstore.ErrUnavailable), true)
	})
	_, list := in.List(t.Context(), "ada", sessionstore.Page{})
	_, one := in.Revoke(t.Context(), "ada", handle)
	_, user := in.RevokeUser(t.Context(), "ada")
	_, all := in.RevokeAll(t.Context())
	for call, err := range map[string]error{
		"List": list, "Revoke": one, "RevokeUser": user, "RevokeAll": all,
	} {
		expect(t, call, errors.Is(err, sessionstore.ErrUnavailable), true)
	}
	expect(t, "the session", in.who(cookie), "ada")
	in.visit(cookie, func(ctx context.Context, s *sessionstore.Session) { in.check(s.Logout(ctx)) })
	expect(t, "the session after a logout", in.who(cookie), "")
}
