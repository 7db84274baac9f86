package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/internal/schema"
)

// repeatable says whether a statement whose outcome is unknown may be sent again.
type repeatable bool

const (
	// again: reading, deleting and touching twice is the same as once.
	again repeatable = true
	// once: a second Create or Rotate would find the id taken, a second Save would raise the version again.
	once repeatable = false
)

const maxAttempts = 3

// do runs a statement under the store's deadline, repeats it where that is safe and can help, and translates its error.
func (p *Postgres) do(ctx context.Context, r repeatable, statement func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var err error
	for range maxAttempts {
		if err = statement(ctx); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			break
		}
		if died(err) {
			p.pool.Reset() // what else is idle there died with it; more of it than there are attempts
		}
		if !worthRepeating(err, r) {
			break
		}
	}
	return p.translate(ctx, err)
}

// died: the connection was good once and is not any more, as after a restart of the server or a failover.
func died(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return slices.Contains([]string{"57P01", "57P02", "25006"}, pg.Code)
	}
	var connect *pgconn.ConnectError
	var network *net.OpError
	return !errors.As(err, &connect) && (errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err))
}

// worthRepeating: the statement had no effect, and its reason may be gone the next time.
func worthRepeating(err error, r repeatable) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "40001", "40P01": // serialization failure, deadlock: rolled back
			return true
		case "0A000": // cached plan must not change result type: pgx has dropped the plan now
			return true
		case "57P01", "57P02", "57P03": // the server is going down or coming up
			return bool(r)
		}
		return false
	}
	var mismatch *schema.Mismatch
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &mismatch) {
		return false // that is an answer
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return false // the pool has just tried
	}
	return pgconn.SafeToRetry(err) || bool(r) // a connection that died in the pool
}

// translate is the one place where errors of pgx become those of the package. It keeps SQLSTATE codes and names of
// constraints, and drops messages: Postgres likes to quote the values in them.
func (p *Postgres) translate(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	var mismatch *schema.Mismatch
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	case errors.As(err, &mismatch):
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case errors.As(err, &pg):
		return p.translateSQLState(ctx, pg)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: Postgres at %s did not answer in time: %w", ErrUnavailable, p.address(), context.DeadlineExceeded)
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return fmt.Errorf("%w: Postgres at %s: %w", ErrUnavailable, p.address(), network)
	}
	return fmt.Errorf("%w: Postgres at %s: the connection failed", ErrUnavailable, p.address())
}

func (p *Postgres) translateSQLState(ctx context.Context, pg *pgconn.PgError) error {
	refused := &refusal{code: pg.Code, constraint: pg.ConstraintName}
	switch pg.Code {
	case "23505":
		return fmt.Errorf("%w (%w)", ErrExists, refused)
	case "42P01", "42883", "3F000", "42703":
		return fmt.Errorf("the schema %q lacks what this version needs: run `migrate up`, see cmd/migrate (%w)", schemaName, refused)
	case "42501":
		if missing := schema.MissingRights(ctx, p.pool, schemaName); missing != "" {
			return fmt.Errorf("the database role lacks rights, which db/ops/roles.sql gives: %s (%w)", missing, refused)
		}
		return fmt.Errorf("the database role may not do this: grant it the rights on the schema %q (%w)", schemaName, refused)
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "22", "23", "54": // data exception, constraint, limit exceeded
		return fmt.Errorf("the data can't be stored (%w)", refused)
	case "08", "53", "57", "28", "3D", "25": // connection, resources, shutdown, authorization, no such database, read-only
		if pg.Code != "57014" {
			return fmt.Errorf("%w: Postgres at %s answered with SQLSTATE %s", ErrUnavailable, p.address(), pg.Code)
		}
	}
	return fmt.Errorf("%w (%w)", ErrUnavailable, refused)
}

// refusal: the server answered a statement with an error, and so it had no effect.
type refusal struct{ code, constraint string }

func (r *refusal) Error() string {
	if r.constraint != "" {
		return "SQLSTATE " + r.code + ", constraint " + r.constraint
	}
	return "SQLSTATE " + r.code
}

// address is where the pool connects, for messages: never with the password.
func (p *Postgres) address() string {
	cfg := p.pool.Config().ConnConfig
	hosts := []string{fmt.Sprintf("%s:%d", cfg.Host, cfg.Port)}
	for _, f := range cfg.Fallbacks {
		if h := fmt.Sprintf("%s:%d", f.Host, f.Port); h != hosts[len(hosts)-1] {
			hosts = append(hosts, h)
		}
	}
	return strings.Join(hosts, ", ")
}
