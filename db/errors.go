package db

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// Codes of Postgres errors with a remedy.
const (
	insufficientPrivilege = "42501"
	readOnlyTransaction   = "25006"
	duplicateSchema       = "42P06"
	duplicateTable        = "42P07"
	duplicateFunction     = "42723"
	duplicateColumn       = "42701"
	duplicateObject       = "42710"
	dependentObjects      = "2BP01"
	lockNotAvailable      = "55P03"
	queryCanceled         = "57014"
	diskFull              = "53100"
)

// explain adds the call, the migration and the remedy to an error. It keeps the
// cause for errors.Is and errors.As, but drops the text of goose, which quotes
// whole statements.
func (m *migration) explain(ctx context.Context, err error) error {
	where, nothing := "migrate "+m.verb, ""
	if partial := (*goose.PartialError)(nil); errors.As(err, &partial) {
		where += ": " + path.Base(partial.Failed.Source.Path)
		nothing = "nothing of this migration was applied: "
		if partial.Failed.Direction == "down" {
			nothing = "nothing of this migration was undone: "
		}
	}
	var server *pgconn.PgError
	var connect *pgconn.ConnectError
	var locked *lockedError
	switch {
	case errors.As(err, &locked):
		return fmt.Errorf("%s: %w", where, locked)
	case errors.Is(err, errNotEmpty):
		err = fmt.Errorf("%s: schema %s %w", where, m.schema, errNotEmpty)
		if hint := m.takeover(ctx); hint != "" {
			err = fmt.Errorf("%w: %s", err, hint)
		}
		return err
	case errors.As(err, &connect): // names the host, never the password
		return fmt.Errorf("%s: %w", where, connect)
	case errors.As(err, &server):
		if hint := m.hint(ctx, server, nothing); hint != "" {
			return fmt.Errorf("%s: %w: %s", where, server, hint)
		}
		return fmt.Errorf("%s: %w", where, server)
	case errors.Is(err, context.DeadlineExceeded):
		c := m.pool.Config().ConnConfig
		return fmt.Errorf("%s: timeout: no reply from %s: %w", where,
			net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// hint returns the remedy for an error of the server, or "". nothing says of a
// migration that failed that it had no effect; it is empty if none failed.
func (m *migration) hint(ctx context.Context, err *pgconn.PgError, nothing string) string {
	switch err.Code {
	case insufficientPrivilege:
		return m.missingRights(ctx)
	case readOnlyTransaction:
		return "migrate on the primary, with default_transaction_read_only off"
	case duplicateSchema, duplicateTable, duplicateFunction, duplicateColumn, duplicateObject:
		if states, failed := m.states(ctx); failed == nil && databaseVersion(states) == 0 {
			return m.takeover(ctx)
		}
		return nothing + "no migration made what has this name: rename it"
	case dependentObjects:
		return nothing + "first drop what depends on it, or move it"
	case diskFull:
		return nothing + "repeat it when the disk has room"
	case lockNotAvailable:
		return nothing + "repeat it when the table is less busy, or with a longer -lock-timeout," +
			" behind which other statements wait"
	case queryCanceled:
		return nothing + "repeat it with a longer statement_timeout"
	}
	return ""
}
