package migrate_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// The migrations work under settings of a database that change how Postgres
// writes names and times.
func TestMigrateUnderSettings(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"quote_all_identifiers = on", "DateStyle = German"} {
		for _, mode := range []pgx.QueryExecMode{
			pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec,
		} {
			t.Run(setting+" "+mode.String(), func(t *testing.T) {
				d := newDatabase(t)
				d.exec(t, "ALTER DATABASE "+d.name+" SET "+setting)
				pool := pgtest.Pool(t, d.url, func(pc *pgxpool.Config) {
					pc.ConnConfig.DefaultQueryExecMode = mode
				})
				if _, err := db.Up(t.Context(), pool, db.Options{}); err != nil {
					t.Fatal(err)
				}
				states, err := db.Status(t.Context(), pool, db.Options{})
				if err != nil || len(states) == 0 || time.Since(states[0].At).Abs() > time.Hour {
					t.Errorf("status: %+v, %v", states, err)
				}
				if err := db.Validate(t.Context(), pool, db.Options{}); err != nil {
					t.Error(err)
				}
				if _, err := db.Down(t.Context(), pool, db.Options{}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
