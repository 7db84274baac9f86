package schema

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/gen"
)

// Unfit is the error of a server or role that can't use a complete schema.
type Unfit struct {
	// Problems has the problems in words, each with its remedy.
	Problems []string
	// ReadOnly is set if no transaction can write, as on a standby.
	ReadOnly bool
	// Standby is set on a standby, and the first problem says so.
	Standby bool
}

// Error names every problem.
func (u *Unfit) Error() string {
	return "the database can't keep sessions: " + strings.Join(u.Problems, "; ")
}

// CheckRole returns an error if the role of a connection can't use the schema:
// an *Unfit, or that of a query.
func CheckRole(ctx context.Context, db gen.DBTX, schemaName string) error {
	row, err := gen.New().CatalogRole(ctx, db, schemaName)
	if err != nil {
		return err
	}
	u := &Unfit{ReadOnly: row.Standby || row.ReadOnly, Standby: row.Standby}
	role := pgx.Identifier{row.Role}.Sanitize()
	switch {
	case row.Standby:
		u.check("the server is a standby: list all hosts in DATABASE_URL, with target_session_attrs=read-write")
	case row.ReadOnly:
		u.check("transactions are read-only: remove default_transaction_read_only" +
			" from role " + role + ", the database, the server and DATABASE_URL")
	}
	u.checkRowSecurity(schemaName, row)
	if missing := MissingRights(ctx, db, schemaName); missing != "" {
		u.check("role " + role + " lacks rights: " + RunRoles + ", or " + missing)
	}
	if len(u.Problems) > 0 {
		return u
	}
	return nil
}

// CheckReader is CheckRole for a connection that only reads: a standby and a
// read-only database will do, and it needs no right to write.
func CheckReader(ctx context.Context, db gen.DBTX, schemaName string) error {
	row, err := gen.New().CatalogRole(ctx, db, schemaName)
	if err != nil {
		return err
	}
	u := &Unfit{}
	u.checkRowSecurity(schemaName, row)
	if len(u.Problems) > 0 {
		return u
	}
	return nil
}

func (u *Unfit) checkRowSecurity(schemaName string, row *gen.CatalogRoleRow) {
	for _, table := range row.RowSecurity {
		u.check(fmt.Sprintf("row-level security can hide rows of %s.%s from role %s:"+
			" ALTER TABLE %[1]s.%[2]s DISABLE ROW LEVEL SECURITY, or ALTER ROLE %[3]s BYPASSRLS",
			schemaName, table, pgx.Identifier{row.Role}.Sanitize()))
	}
}

// CheckEncoding returns an *Unfit if the database has another encoding than
// UTF8, or the error of the query.
func CheckEncoding(ctx context.Context, db gen.DBTX, schemaName string) error {
	row, err := gen.New().CatalogRole(ctx, db, schemaName)
	if err != nil {
		return err
	}
	if problem := encodingProblem(row.Database, row.Encoding); problem != "" {
		return &Unfit{Problems: []string{problem}}
	}
	return nil
}

func (u *Unfit) check(problem string) {
	if problem != "" {
		u.Problems = append(u.Problems, problem)
	}
}

// encodingProblem returns the problem with an encoding, "" for UTF8. With
// another encoding the server refuses some characters of JSON.
func encodingProblem(database, encoding string) string {
	if encoding == "UTF8" {
		return ""
	}
	return fmt.Sprintf("database %s has encoding %s, must be UTF8: create another with"+
		" CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and copy the data with pg_dump",
		pgx.Identifier{database}.Sanitize(), encoding)
}
