package express

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// DB is what ConnectPgSimple needs of a *pgxpool.Pool.
type DB interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// PgOptions are those of connect-pg-simple. The zero value suits its defaults.
type PgOptions struct {
	// Schema has the table. Defaults to "public".
	Schema string
	// Table is the option tableName. Defaults to "session".
	Table string
	// TimeZone is that of the connections of the Node program, such as
	// "Europe/Berlin". The column expire has no zone, and holds their local
	// time. Defaults to that of the connections of the DB, which is the same
	// unless a role, a database or the program sets another one.
	TimeZone string
	// User finds the user in the values of a session. Defaults to the first of
	// "userId" and "passport.user".
	User UserFunc
}

// ConnectPgSimple returns the sessions of connect-pg-simple. The role of the DB
// needs SELECT and DELETE on its table.
func ConnectPgSimple(db DB, o PgOptions) legacy.Store {
	table := pgx.Identifier{cmp.Or(o.Schema, "public"), cmp.Or(o.Table, "session")}.Sanitize()
	return &connectPgSimple{
		db: db, zone: o.TimeZone, user: o.User,
		// as text, since what json accepts jsonb may refuse
		load: `SELECT s.sess::pg_catalog.text, pg_catalog.date_part('epoch',
				pg_catalog.timezone(coalesce(nullif($2::pg_catalog.text, ''),
					pg_catalog.current_setting('TimeZone')), s.expire)
				OPERATOR(pg_catalog.-) pg_catalog.now())
			FROM ` + table + ` AS s WHERE s.sid = $1::pg_catalog.text`,
		end: `DELETE FROM ` + table + ` AS s WHERE s.sid = $1::pg_catalog.text`,
	}
}

type connectPgSimple struct {
	db        DB
	zone      string
	user      UserFunc
	load, end string
}

// Load implements [legacy.Store].
func (s *connectPgSimple) Load(ctx context.Context, sid string) (legacy.Session, error) {
	var sess string
	var seconds float64
	switch err := s.db.QueryRow(ctx, s.load, sid, s.zone).Scan(&sess, &seconds); {
	case errors.Is(err, pgx.ErrNoRows):
		return legacy.Session{}, store.ErrNotFound
	case err != nil:
		return legacy.Session{}, pgError(err)
	case seconds <= 0:
		return legacy.Session{}, store.ErrNotFound
	}
	found, err := Parse([]byte(sess), s.user)
	found.Idle = time.Duration(min(seconds, legacy.UnknownAge.Seconds()) * float64(time.Second))
	return found, err
}

// End implements [legacy.Store].
func (s *connectPgSimple) End(ctx context.Context, sid string) error {
	if _, err := s.db.Exec(ctx, s.end, sid); err != nil {
		return pgError(err)
	}
	return nil
}

// pgError wraps an error of Postgres. Its text has no values, but its detail
// may.
func pgError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return fmt.Errorf("%w: the table of connect-pg-simple: %s (SQLSTATE %s)",
			store.ErrUnavailable, pg.Message, pg.Code)
	}
	return fmt.Errorf("%w: the table of connect-pg-simple: %w", store.ErrUnavailable, err)
}
