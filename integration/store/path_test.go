package store_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// search_path decides what an operator means. New refuses a path with another
// schema before pg_catalog, even if that schema does not exist yet. A role that
// may CREATE in the database could make it.
func TestPathThatHidesBuiltInsIsRefused(t *testing.T) {
	t.Parallel()
	crew := hire(t)
	for path, refused := range map[string]bool{
		"public, pg_catalog":         true,
		"made_later, pg_catalog":     true,
		`"$user", public`:            false,
		"pg_catalog, public":         false,
		"pg_temp, public":            false,
		"pg_catalog, pg_temp":        false,
		"":                           false,
		`"$user", public,pg_catalog`: true,
	} {
		u, err := url.Parse(crew.url)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("search_path", path)
		u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
		pool := pgtest.Pool(t, crew.url, func(c *pgxpool.Config) {
			c.ConnConfig.RuntimeParams["search_path"] = path
		})
		m, opened := sessionstore.Open(t.Context(), config(u.String()))
		if opened == nil {
			m.EndWatches()
		}
		_, made := sessionstore.New(t.Context(), pool, config(""))
		for how, err := range map[string]error{"Open": opened, "New": made} {
			switch {
			case refused && err == nil:
				t.Errorf("%s takes the path %s", how, path)
			case refused && !strings.Contains(err.Error(), "search_path"):
				t.Errorf("%s with the path %s: %v", how, path, err)
			case !refused && err != nil:
				t.Errorf("%s refuses the path %s: %v", how, path, err)
			}
		}
	}
}

// A CHECK binds its names when it is made.
func TestHijackedCheckIsRefused(t *testing.T) {
	t.Parallel()
	crew := hire(t)
	pgtest.Exec(t, crew.admin, "CREATE FUNCTION public.pg_column_size(json) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 0'")
	pgtest.Exec(t, crew.admin, "ALTER TABLE pgsession.sessions DROP CONSTRAINT sessions_data_check, ADD CONSTRAINT sessions_data_check CHECK (pg_column_size(data) <= 1048576)")
	_, err := sessionstore.New(t.Context(), crew.pool, config(""))
	if err == nil ||
		!strings.Contains(err.Error(), "sessions_data_check uses function public.pg_column_size") {
		t.Errorf("%v", err)
	}
}
