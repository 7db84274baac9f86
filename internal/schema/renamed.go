package schema

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/internal/gen"
)

// In returns db for the statements of package gen with another schema in place
// of Default. The name must have passed CheckName. Each statement is rewritten
// once.
func In(db gen.DBTX, name string, rewritten *Statements) gen.DBTX {
	if name == Default {
		return db
	}
	return &renamed{db: db, name: name, rewritten: rewritten}
}

// Statements caches the rewritten statements for one name. The zero value is
// ready to use.
type Statements struct{ texts sync.Map }

type renamed struct {
	db        gen.DBTX
	name      string
	rewritten *Statements
}

func (r *renamed) sql(text string) string {
	if known, ok := r.rewritten.texts.Load(text); ok {
		return known.(string)
	}
	known, _ := r.rewritten.texts.LoadOrStore(text, Rename(text, r.name))
	return known.(string)
}

func (r *renamed) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.db.Exec(ctx, r.sql(sql), args...)
}

func (r *renamed) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.db.Query(ctx, r.sql(sql), args...)
}

func (r *renamed) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.db.QueryRow(ctx, r.sql(sql), args...)
}
