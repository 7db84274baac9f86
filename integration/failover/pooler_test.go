package failover_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// leadsToAStandby has an instance whose pooler did not follow a failover: it
// reaches a standby that lacks a revoke and the latest session. The instance
// must not take the standby's rows for an answer.
func leadsToAStandby(t *testing.T, p *pair) {
	failed := make(chan error, 1)
	m, lead := behindPooler(t, p, func(_ context.Context, e sessionstore.Event) {
		if e.Kind == sessionstore.EventWatchFailed {
			failed <- e.Err
		}
	})
	truth := open(t, p.url(p.primary, p.standby, readWrite), func(*sessionstore.Config) {})
	here := &site{m, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if !fail(w, err) && r.URL.Path == "/watch" {
			s.Watch(t.Context())
		} else if err == nil {
			fail(w, s.Logout(r.Context()))
		}
	}))}

	eve := truth.login(t, "eve")
	if a := here.visit("GET", "/watch", eve); a.status != http.StatusOK {
		t.Fatalf("watch: %d", a.status)
	}
	p.caughtUp()
	pgtest.Exec(t, p.standby.pool, "SELECT pg_wal_replay_pause()")
	defer pgtest.Exec(t, p.standby.pool, "SELECT pg_wal_replay_resume()")
	ada := truth.login(t, "ada")
	if _, err := truth.m.RevokeUser(t.Context(), "eve"); err != nil {
		t.Fatal(err)
	}
	lead(p.standby.port)

	// A stream without an answer ends after its patience.
	testkit.Eventually(t, "the check of a stream has no answer", func() bool {
		select {
		case err := <-failed:
			return errors.Is(err, sessionstore.ErrUnavailable)
		default:
			return false
		}
	})
	// More cookies than are looked at: the logout asks which of them live.
	name, _, _ := strings.Cut(ada, "=")
	planted := ada + strings.Repeat("; "+name+"=x", 8)
	if a := here.visit("POST", "/logout", planted); a.status != http.StatusServiceUnavailable {
		t.Errorf("the logout: status %d, want 503", a.status)
	}
	lead(p.primary.port)
	testkit.Eventually(t, "the logout succeeds at the primary", func() bool {
		return here.visit("POST", "/logout", planted).status == http.StatusOK
	})
	if a := truth.visit("GET", "/", ada); a.body != "" {
		t.Errorf("the user after the logout: %q", a.body)
	}
}

// behindPooler opens an instance whose connections lead to the primary, and
// then to where lead says.
func behindPooler(t *testing.T, p *pair, observe func(context.Context, sessionstore.Event)) (
	m *sessionstore.Manager, lead func(port int),
) {
	t.Helper()
	var to atomic.Int64
	to.Store(int64(p.primary.port))
	pool := pgtest.Pool(t, p.url(p.primary, p.primary, ""), func(pc *pgxpool.Config) {
		sessionstore.ConfigurePool(pc)
		pc.ConnConfig.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
			address := net.JoinHostPort("127.0.0.1", strconv.FormatInt(to.Load(), 10))
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	})
	m, err := sessionstore.New(t.Context(), pool, sessionstore.Config{
		Env: sessionstore.Development, Secrets: secrets, DisablePrune: true, Observer: observe,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, func(port int) {
		to.Store(int64(port))
		pool.Reset()
	}
}
