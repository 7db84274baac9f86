package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest"
)

func TestTheStoreForCitusKeepsTheContract(t *testing.T) {
	t.Parallel()
	databaseURL := pgtest.Database(t)
	admin, sent := pgtest.Pool(t, databaseURL), &testkit.Statements{}
	pgtest.Distribute(t, admin)
	pool := pgtest.Pool(t, pgtest.Application(t, databaseURL), func(pc *pgxpool.Config) {
		pc.ConnConfig.Tracer = sent
	})
	plain := subject(pool, admin)
	checked := func(t *testing.T, s store.Store) store.Store {
		if err := s.(interface{ Check(context.Context) error }).Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	storetest.Run(t, storetest.Subject{
		New:  func(t *testing.T, e store.Expiry) store.Store { return checked(t, plain.New(t, e)) },
		Age:  plain.Age,
		Peer: func(t *testing.T, s store.Store) store.Store { return checked(t, plain.Peer(t, s)) },

		NoEndings: true,
	})
	for _, name := range batches {
		if n := sent.Count(name); n > 0 {
			t.Errorf("%s was sent %d times", name, n)
		}
	}
	if sent.Count("DistributedOwnerLocked") == 0 {
		t.Error("no session was rotated as on Citus: this test sees nothing")
	}
}

// batches are statements that Citus refuses.
var batches = []string{
	"SessionLoadMany", "SessionMissing", "SessionCreateMany", "SessionSaveMany",
	"SessionRotateMany", "SessionTouch", "SessionDelete", "SessionDeleteFree", "OwnerRevoke",
	"OwnerRevokeHandle", "OwnerTrim", "ExpiryEstimate",
}

// A store that has checked nothing learns from the first refused statement that
// its table is distributed. That happens if an emergency began before Postgres
// was reached. The store repeats the call, and no caller gets an error.
func TestAStoreFindsOutThatItsTableIsDistributed(t *testing.T) {
	for name, tt := range map[string]struct {
		event string // of a rule that makes Postgres refuse a batch as Citus does
		call  func(context.Context, *postgres.Store, store.ID) error
	}{
		"touch": {
			event: "UPDATE",
			call: func(ctx context.Context, s *postgres.Store, id store.ID) error {
				return s.Touch(ctx, []store.Touch{{ID: id}})
			},
		},
		"save": {
			event: "UPDATE",
			call: func(ctx context.Context, s *postgres.Store, id store.ID) error {
				_, err := s.Save(ctx, id, setting("k", 1))
				return err
			},
		},
		"rotate": {
			event: "INSERT",
			call: func(ctx context.Context, s *postgres.Store, id store.ID) error {
				_, err := s.Rotate(ctx, id, testkit.NewID(), store.Change{})
				return err
			},
		},
		"login": {
			event: "INSERT",
			call: func(ctx context.Context, s *postgres.Store, _ store.ID) error {
				_, err := s.Create(ctx, store.Draft{ID: testkit.NewID(), UserID: "ada"})
				return err
			},
		},
		"login with a limit": {
			event: "INSERT",
			call: func(ctx context.Context, s *postgres.Store, _ store.ID) error {
				_, err := s.Create(ctx,
					store.Draft{ID: testkit.NewID(), UserID: "ada", MaxSessions: 5})
				return err
			},
		},
		"revoke": {
			event: "DELETE",
			call: func(ctx context.Context, s *postgres.Store, _ store.ID) error {
				_, r, err := s.Revoke(ctx, store.Selection{UserID: "eve"})
				if err == nil && r.Count != 1 {
					err = errors.New("no session of eve's was revoked")
				}
				return err
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusals := &refusals{t: t}
			c := hire(t, func(pc *pgxpool.Config) { pc.ConnConfig.Tracer = refusals })
			id := c.sessions(1)[0]
			if _, err := c.store.Create(t.Context(),
				store.Draft{ID: testkit.NewID(), UserID: "eve"}); err != nil {
				t.Fatal(err)
			}
			pgtest.Distribute(t, c.admin)
			pgtest.Exec(t, c.admin, "CREATE RULE refuse AS ON "+tt.event+
				" TO pgsession.sessions WHERE false DO INSTEAD NOTHING")
			refusals.then(func() {
				pgtest.Exec(t, c.admin, "DROP RULE refuse ON pgsession.sessions")
			})

			if err := tt.call(t.Context(), c.store, id); err != nil {
				t.Error(err)
			}
			if n := refusals.count(); n != 1 {
				t.Errorf("Postgres refused %d statements, want 1", n)
			}
			refusals.forget()
			if err := c.store.Touch(t.Context(), []store.Touch{{ID: id}}); err != nil {
				t.Error(err)
			}
			if got := refusals.names(); !slices.Equal(got, []string{"DistributedTouch"}) {
				t.Errorf("a touch afterwards sends %v", got)
			}
		})
	}
}

// A rotation locks the user that it has read before. Here the session gets
// another user while the rotation waits: it must not keep the lock of the first
// one alone, for which no revoke of the second one waits.
func TestARotationLocksTheUserThatItsSessionHas(t *testing.T) {
	t.Parallel()
	c := hire(t)
	pgtest.Distribute(t, c.admin)
	if err := c.store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, next := c.sessions(1)[0], testkit.NewID()
	pgtest.Exec(t, c.admin, pgtest.Locks)
	tx, err := c.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM pgsession.locks FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	rotated := make(chan store.Record, 1)
	go func() {
		rec, err := c.store.Rotate(t.Context(), id, next, setting("k", 1))
		if err != nil {
			t.Error(err)
		}
		rotated <- rec
	}()
	testkit.Eventually(t, "the rotation waits", func() bool {
		return pgtest.One[int](t, c.admin, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 1
	})
	pgtest.Exec(t, c.admin, "UPDATE pgsession.sessions SET user_id = 'eve' WHERE id = $1", id[:])
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rec := <-rotated; rec.UserID != "eve" {
		t.Errorf("the session belongs to %q", rec.UserID)
	}
	if n := c.sent.Count("OwnerLock"); n != 2 {
		t.Errorf("%d locks were taken, want that of each user", n)
	}
}

// refusals calls a function when Postgres does not support a statement, and
// records the names of statements.
type refusals struct {
	t *testing.T

	mu       sync.Mutex
	refused  func()
	n        int
	sentName []string
}

func (r *refusals) then(refused func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = refused
}

func (r *refusals) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func (r *refusals) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sentName)
}

func (r *refusals) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sentName = nil
}

func (r *refusals) TraceQueryStart(ctx context.Context, _ *pgx.Conn,
	data pgx.TraceQueryStartData,
) context.Context {
	if name, ok := strings.CutPrefix(data.SQL, "-- name: "); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		name, _, _ = strings.Cut(name, " ")
		r.sentName = append(r.sentName, name)
	}
	return ctx
}

func (r *refusals) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	var pg *pgconn.PgError
	if !errors.As(data.Err, &pg) || pg.Code != "0A000" {
		return
	}
	r.mu.Lock()
	r.n++
	refused := r.refused
	r.refused = nil
	r.mu.Unlock()
	if refused != nil {
		refused()
	}
}
