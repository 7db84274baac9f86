package contestant

import (
	"context"
	"time"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// SCSPgx is scs with its store for pgx. The store takes no context, so a
// request that ends cancels nothing.
type SCSPgx struct {
	store   *pgxstore.PostgresStore
	manager *scs.SessionManager
	pool    *pgxpool.Pool
}

var (
	_ Saver  = (*SCSPgx)(nil)
	_ Logins = (*SCSPgx)(nil)
)

// NewSCSPgx opens the store without its clean-up; the library does not prune
// here either.
func NewSCSPgx(ctx context.Context, d *rows.Database) (*SCSPgx, error) {
	pool, err := d.Connect(ctx, rows.Connections)
	if err != nil {
		return nil, err
	}
	s := &SCSPgx{store: pgxstore.NewWithCleanupInterval(pool, 0), manager: scs.New(), pool: pool}
	s.manager.Store = s.store
	s.manager.IdleTimeout, s.manager.Lifetime = Expiry.Idle, Expiry.Absolute
	return s, nil
}

func (*SCSPgx) Name() string { return "scs_pgx" }

func (s *SCSPgx) Load(ctx context.Context, i int) error {
	_, err := s.Payload(ctx, i)
	return err
}

func (s *SCSPgx) Payload(_ context.Context, i int) ([]byte, error) {
	data, found, err := s.store.Find(rows.Token(i))
	if err == nil && !found {
		err = errMissing
	}
	return data, err
}

// Save commits the whole payload, which is the only way. The encoding, some
// microseconds more, is left out.
func (s *SCSPgx) Save(_ context.Context, i int, name string) error {
	return s.store.Commit(rows.Token(i), rows.Named(name), time.Now().Add(Expiry.Idle))
}

// NewLogin begins with an anonymous session.
func (s *SCSPgx) NewLogin(ctx context.Context) (Login, error) {
	return newSCSLogin(ctx, s.manager)
}

func (s *SCSPgx) Close() error {
	s.pool.Close()
	return nil
}
