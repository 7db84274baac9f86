package pgsimple

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// The codes of Postgres that the package decides by.
const (
	insufficientPrivilege = "42501"
	readOnlyTransaction   = "25006"
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	lockNotAvailable      = "55P03"
	queryCanceled         = "57014"
)

// explain adds the remedy to an error. Of an error of Postgres it keeps the
// message and the code: the detail may hold a row.
func (m *mover) explain(err error) error {
	var server *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("import: interrupted: each session is in one of the two tables: run it"+
			" again to go on: %w", err)
	case !errors.As(err, &server):
		return fmt.Errorf("import: %w", err)
	}
	if hint := m.hint(server.Code); hint != "" {
		return fmt.Errorf("import: %w: %s", serverError{server}, hint)
	}
	return fmt.Errorf("import: %w", serverError{server})
}

func (m *mover) hint(code string) string {
	switch code {
	case insufficientPrivilege:
		return fmt.Sprintf("run it as the role that owns schema %s, and as the owner of the other"+
			" table GRANT SELECT, UPDATE, DELETE ON %s TO that role, and USAGE on its schema",
			m.Schema, m.Table)
	case readOnlyTransaction:
		return "run it on the primary"
	case lockNotAvailable:
		return "a transaction that is open has revoked sessions or locked the table: nothing is" +
			" lost: run it again when that has ended"
	case queryCanceled:
		return "nothing is lost: run it again, with a longer statement_timeout or a smaller -batch"
	}
	return ""
}

// serverError is an error of Postgres without its detail.
type serverError struct{ *pgconn.PgError }

func (e serverError) Error() string { return e.Message + " (SQLSTATE " + e.Code + ")" }

func (e serverError) Unwrap() error { return e.PgError }
