package store_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// setValue is a setting of the role or the database.
type setValue struct{ name, value string }

// settingsToTry returns all values of every setting that a user may change and
// that has a list of values. Of settings without a list it adds some that
// change how values are written or read.
func settingsToTry(t *testing.T, admin *pgxpool.Pool) []setValue {
	t.Helper()
	const listed = `SELECT s.name, v.value
		FROM pg_settings AS s
		CROSS JOIN LATERAL unnest(CASE s.vartype WHEN 'bool' THEN ARRAY['on', 'off'] ELSE s.enumvals END) AS v(value)
		WHERE s.context = 'user' AND s.vartype IN ('bool', 'enum') AND v.value <> s.reset_val
			AND s.name NOT LIKE 'transaction%'
		ORDER BY s.name, v.value`
	rows, err := admin.Query(t.Context(), listed)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s setValue, err error) {
		err = row.Scan(&s.name, &s.value)
		return s, err
	})
	if err != nil || len(all) < 60 {
		t.Fatalf("%d values of settings: %v", len(all), err)
	}
	return append(all,
		setValue{"DateStyle", "German"}, setValue{"DateStyle", "SQL, DMY"},
		setValue{"DateStyle", "Postgres, MDY"},
		setValue{"TimeZone", "Asia/Kathmandu"}, setValue{"TimeZone", "America/St_Johns"},
		setValue{"timezone_abbreviations", "India"},
		setValue{"client_encoding", "LATIN1"}, setValue{"client_encoding", "WIN1252"},
		setValue{"client_encoding", "SQL_ASCII"},
		setValue{"extra_float_digits", "-15"}, setValue{"extra_float_digits", "3"},
		setValue{"lc_numeric", "C"}, setValue{"lc_time", "C"}, setValue{"lc_monetary", "C"},
		setValue{"default_text_search_config", "simple"}, setValue{"search_path", "public"},
		setValue{"work_mem", "64kB"}, setValue{"from_collapse_limit", "1"},
		setValue{"gin_fuzzy_search_limit", "1"},
	)
}

// The store works under every setting that a role or a database can have.
func TestSettingsOfRoleAndDatabase(t *testing.T) {
	t.Parallel()
	underEverySetting(t, pgx.QueryExecModeCacheStatement)
}

// With enable_nestloop off, Postgres takes seconds to compile the check's
// statement, and milliseconds to run it.
func TestCheckIsNotCompiled(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ctx := context.Background()
	if _, err := c.admin.Exec(ctx,
		"ALTER ROLE "+c.pool.Config().ConnConfig.User+" SET enable_nestloop = off"); err != nil {
		t.Fatal(err)
	}
	const patience = 3 * time.Second
	s, _, _ := c.another(patience)
	if err := s.Check(ctx); err != nil {
		t.Errorf("Check within %v: %v", patience, err)
	}
}

// The same in the other modes of pgx.
//
// Slow: it opens the store about 400 times.
func TestSlowSettingsOfRoleAndDatabase(t *testing.T) {
	t.Parallel()
	underEverySetting(t, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol)
}

func underEverySetting(t *testing.T, modes ...pgx.QueryExecMode) {
	first := hire(t)
	all := settingsToTry(t, first.admin)
	const crews = 4
	var sent testkit.Statements
	var wg sync.WaitGroup
	for i := range crews {
		c := first
		if i > 0 {
			c = hire(t)
		}
		wg.Go(func() {
			for n := i; n < len(all); n += crews {
				if all[n].name != "default_transaction_read_only" {
					c.tryUnder(all[n], modes, &sent)
				}
			}
		})
	}
	wg.Wait()
	usesAll(t, &sent)
	t.Logf("%d values of settings in %d modes", len(all), len(modes))
}

// neverUnder are statements that need Citus, or a row that is locked.
var neverUnder = regexp.MustCompile(`^Distributed|^(Session|Event)Delete$`)

// usesAll checks that the store has sent every statement of db/queries: one
// that is not sent is tried under no setting.
func usesAll(t *testing.T, sent *testkit.Statements) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "db", "queries", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^-- name: (\w+)`).
			FindAllStringSubmatch(string(text), -1) {
			names++
			if name := found[1]; !neverUnder.MatchString(name) && sent.Count(name) == 0 {
				t.Errorf("%s was not sent", name)
			}
		}
	}
	if names < 40 {
		t.Errorf("only %d statements", names)
	}
}

// tryUnder sets a setting for the database and for the role, and runs what an
// application does.
func (c *crew) tryUnder(s setValue, modes []pgx.QueryExecMode, sent *testkit.Statements) {
	c.t.Helper()
	ctx := context.Background()
	database, role := c.admin.Config().ConnConfig.Database, c.pool.Config().ConnConfig.User
	settings := []setValue{s}
	if s.name == "gin_fuzzy_search_limit" { // which matters to one index only
		settings = append(settings,
			setValue{"enable_seqscan", "off"}, setValue{"enable_indexscan", "off"})
	}
	if strings.HasPrefix(settings[len(settings)-1].name, "enable_") {
		// Where one is off, a plan without it costs 10^10, and Postgres takes
		// seconds to compile each.
		settings = append(settings, setValue{"jit", "off"})
	}
	for _, owner := range []string{"DATABASE " + database, "ROLE " + role} {
		for _, s := range settings {
			_, err := c.admin.Exec(ctx,
				fmt.Sprintf("ALTER %s SET %s = '%s'", owner, s.name, s.value))
			if err != nil {
				c.t.Errorf("%s=%s: %v", s.name, s.value, err)
			}
		}
	}
	defer func() {
		for _, owner := range []string{"DATABASE " + database, "ROLE " + role} {
			for _, s := range settings {
				_, _ = c.admin.Exec(ctx, fmt.Sprintf("ALTER %s RESET %s", owner, s.name))
			}
		}
	}()
	for _, mode := range modes {
		if err := c.useIn(ctx, mode, sent); err != nil {
			c.t.Errorf("%s=%s in mode %v: %v", s.name, s.value, mode, err)
		}
	}
	admin, err := pgxpool.New(ctx, c.admin.Config().ConnString())
	if err != nil {
		c.t.Fatal(err)
	}
	defer admin.Close()
	if err := db.Validate(ctx, admin, db.Options{}); err != nil {
		c.t.Errorf("%s=%s: validate: %v", s.name, s.value, err)
	}
}

func (c *crew) useIn(
	ctx context.Context, mode pgx.QueryExecMode, sent *testkit.Statements,
) error {
	pc, err := pgxpool.ParseConfig(c.url)
	if err != nil {
		return err
	}
	pc.MaxConns = 2
	pc.ConnConfig.DefaultQueryExecMode, pc.ConnConfig.Tracer = mode, sent
	postgres.ConfigurePool(pc)
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return err
	}
	defer pool.Close()
	cfg := config("")
	cfg.Outage.DisableEmergency, cfg.StoreTimeout = true, timeout // a busy machine is no outage
	m, err := sessionstore.New(ctx, pool, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }()
	for _, run := range []func() error{
		func() error { return use(ctx, m.Store()) },
		func() error { return byTag(ctx, m.Store()) },
		func() error { return byHandle(ctx, m.Store()) },
		func() error { return inTransaction(ctx, pool, m) },
		func() error {
			recording := postgres.New(pool, daily, timeout, postgres.WithEvents(true))
			return recorded(ctx, recording)
		},
	} {
		if err := run(); err != nil {
			return err
		}
	}
	return nil
}

// use calls every method of the store, and checks what it returns.
func use(ctx context.Context, s store.Store) error {
	user, agent := `ädä \ ' " 🙂`+string(value(testkit.NewID())), `O'Neill\n "x"`
	data := value(map[string]string{"k": "ä\u2028'\"\\x41 🙂"})
	client := sessionstore.Client{IP: netip.MustParseAddr("2001:db8::1"), UserAgent: agent}
	same := func(what string, rec store.Record, err error, want store.Record) error {
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case rec.ID != want.ID, rec.UserID != user, rec.UserAgent != agent, rec.IP != client.IP,
			rec.Version != want.Version:
			return fmt.Errorf("%s: %+v", what, rec)
		case rec.ExpiresAt.Sub(rec.ValidatedAt) <= 0,
			rec.ValidatedAt.Sub(rec.CreatedAt).Abs() > timeout:
			return fmt.Errorf("%s: expires %v, created %v, asked %v", what, rec.ExpiresAt,
				rec.CreatedAt, rec.ValidatedAt)
		}
		return nil
	}
	rec := store.Record{ID: testkit.NewID(), Version: 1}
	got, err := s.Create(ctx, store.Draft{ID: rec.ID, UserID: user, Data: data, Client: client})
	if err := same("create", got, err, rec); err != nil {
		return err
	}
	got, err = s.Load(ctx, rec.ID, 0)
	if err := same("load", got, err, rec); err != nil {
		return err
	}
	rec.Version = 2
	got, err = s.Save(ctx, rec.ID,
		store.Change{Set: setting("n", "\u2028\\").Set, Removed: []string{"gone"}})
	if err := same("save", got, err, rec); err != nil {
		return err
	}
	if !strings.Contains(string(got.Data), "🙂") {
		return fmt.Errorf("data: %s", got.Data)
	}
	old := rec.ID
	rec.ID, rec.Version = testkit.NewID(), 3
	got, err = s.Rotate(ctx, old, rec.ID, store.Change{UserID: user, Client: client})
	if err := same("rotate", got, err, rec); err != nil {
		return err
	}
	if _, err := s.Load(ctx, old, 0); !errors.Is(err, sessionstore.ErrNotFound) {
		return fmt.Errorf("load of the old id: %w", err)
	}
	if err := s.Touch(ctx,
		[]store.Touch{{ID: rec.ID, Client: client}, {ID: testkit.NewID()}}); err != nil {
		return fmt.Errorf("touch: %w", err)
	}
	page, err := s.List(ctx, user, sessionstore.Page{})
	if err != nil || len(page) != 1 || page[0].ID != rec.ID {
		return fmt.Errorf("list: %d, %w", len(page), err)
	}
	alive, ended, err := s.Alive(ctx, []store.ID{rec.ID, old})
	if err != nil || len(alive) != 1 || len(ended) != 1 {
		return fmt.Errorf("alive: %d and %d, %w", len(alive), len(ended), err)
	}
	if err := together(ctx, s, client); err != nil {
		return err
	}
	if _, _, err := s.Prune(ctx, 10); err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	for _, exact := range []bool{true, false} {
		stats, err := s.Stats(ctx, exact)
		if err != nil || stats.Active < 1 || stats.CountedAt.IsZero() {
			return fmt.Errorf("stats: %+v, %w", stats, err)
		}
	}
	if r, err := s.Delete(ctx, rec.ID); err != nil || !r.Committed {
		return fmt.Errorf("delete: %w", err)
	}
	if ids, _, err := s.Revoke(ctx, store.Selection{UserID: user}); err != nil || len(ids) != 0 {
		return fmt.Errorf("revoke: %d, %w", len(ids), err)
	}
	return nil
}

// together makes calls that share statements.
func together(ctx context.Context, s store.Store, client sessionstore.Client) error {
	const n = 8
	errs := make(chan error, n)
	for i := range n {
		go func() {
			id, fresh := testkit.NewID(), testkit.NewID()
			draft := store.Draft{ID: id, UserID: fmt.Sprint("b", i%2)}
			if i%2 == 0 {
				draft.Client = client // the others have no client
			}
			_, err := s.Create(ctx, draft)
			if err == nil {
				_, err = s.Load(ctx, id, 0)
			}
			if err == nil {
				_, err = s.Save(ctx, id, setting("k", i))
			}
			if err == nil {
				_, err = s.Rotate(ctx, id, fresh, store.Change{})
			}
			if err == nil {
				if _, missing := s.Load(ctx, id, 0); !errors.Is(missing, sessionstore.ErrNotFound) {
					err = missing
				}
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			return fmt.Errorf("together: %w", err)
		}
	}
	ended := 0
	for _, user := range []string{"b0", "b1"} {
		ids, _, err := s.Revoke(ctx, store.Selection{UserID: user})
		if err != nil {
			return fmt.Errorf("revoke: %w", err)
		}
		ended += len(ids)
	}
	if ended != n {
		return fmt.Errorf("%d of %d revoked", ended, n)
	}
	return nil
}

// tagged makes sessions with a tag, of a user each.
func tagged(ctx context.Context, s store.Store, tag store.Tag) error {
	for i := range taggedSessions {
		if _, err := s.Create(ctx, store.Draft{
			ID: testkit.NewID(), UserID: fmt.Sprint("tagged ", i), Tags: []store.Tag{tag},
		}); err != nil {
			return fmt.Errorf("create with a tag: %w", err)
		}
	}
	return nil
}

const taggedSessions = 6

// byTag lists and revokes all sessions with a tag.
func byTag(ctx context.Context, s store.Store) error {
	tag := store.NewTag("org", string(value(testkit.NewID())))
	if err := tagged(ctx, s, tag); err != nil {
		return err
	}
	page, err := s.List(ctx, "", store.Page{Tag: tag})
	if err != nil || len(page) != taggedSessions {
		return fmt.Errorf("list by tag: %d, %w", len(page), err)
	}
	if all, err := s.List(ctx, "", store.Page{All: true}); err != nil || len(all) < len(page) {
		return fmt.Errorf("list of all: %d, %w", len(all), err)
	}
	rec, err := s.Save(ctx, page[0].ID, store.Change{Lifetime: time.Hour})
	if err != nil || rec.AbsoluteExpiresAt.Sub(rec.ValidatedAt) > time.Hour {
		return fmt.Errorf("a lifetime: until %v, %w", rec.AbsoluteExpiresAt, err)
	}
	ids, r, err := s.Revoke(ctx, store.Selection{Tag: tag})
	if err != nil || len(ids) != taggedSessions || r.Count != taggedSessions {
		return fmt.Errorf("revoke by tag: %d, %+v, %w", len(ids), r, err)
	}
	if alive, _, err := s.Alive(ctx, idsOf(page)); err != nil || len(alive) > 0 {
		return fmt.Errorf("after a revoke by tag: %d alive, %w", len(alive), err)
	}
	return nil
}

func idsOf(recs []store.Record) []store.ID {
	ids := make([]store.ID, len(recs))
	for i := range recs {
		ids[i] = recs[i].ID
	}
	return ids
}

// byHandle completes a login, and ends sessions by handle, beyond a limit, and
// all.
func byHandle(ctx context.Context, s store.Store) error {
	user := "handles " + string(value(testkit.NewID()))
	first, second, third := testkit.NewID(), testkit.NewID(), testkit.NewID()
	tag := store.NewTag("org", user)
	if _, err := s.Create(ctx, store.Draft{ID: first, PendingUserID: user}); err != nil {
		return fmt.Errorf("create pending: %w", err)
	}
	rec, err := s.Rotate(ctx, first, second, store.Change{
		UserID: user, Completes: true, Tags: []store.Tag{tag},
		Methods: []store.Method{{Name: "password", Level: 1}},
	})
	if err != nil || rec.UserID != user {
		return fmt.Errorf("complete: %+v, %w", rec.UserID, err)
	}
	if _, err := s.Create(ctx, store.Draft{ID: third, UserID: user, MaxSessions: 2}); err != nil {
		return fmt.Errorf("create with a limit: %w", err)
	}
	began := store.BeganHere(time.Now())
	for _, change := range []store.Change{
		{UserID: user, Tags: []store.Tag{tag}, Began: began}, {Began: began},
	} {
		if _, err := s.Save(ctx, third, change); err != nil {
			return fmt.Errorf("save of a login: %w", err)
		}
	}
	for _, sel := range []store.Selection{
		{UserID: user, Keep: 1}, {UserID: user, Handle: third.Handle()},
	} {
		if ids, _, err := s.Revoke(ctx, sel); err != nil || len(ids) != 1 {
			return fmt.Errorf("revoke of one: %d, %w", len(ids), err)
		}
	}
	gone := store.Selection{UserID: user, Handle: second.Handle()}
	if ids, _, err := s.Revoke(ctx, gone); err != nil || len(ids) > 0 {
		return fmt.Errorf("revoke of none: %d, %w", len(ids), err)
	}
	if _, err := s.Create(ctx, store.Draft{ID: first}); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if _, r, err := s.Revoke(ctx, store.Selection{All: true}); err != nil || r.Count == 0 {
		return fmt.Errorf("revoke of all: %+v, %w", r, err)
	}
	return nil
}

// recorded logs in and out with events.
func recorded(ctx context.Context, s *postgres.Store) error {
	user, id := "recorded "+string(value(testkit.NewID())), testkit.NewID()
	if _, err := s.Create(ctx, store.Draft{ID: id, UserID: user}); err != nil {
		return fmt.Errorf("recorded login: %w", err)
	}
	if _, err := s.Delete(ctx, id); err != nil {
		return fmt.Errorf("recorded logout: %w", err)
	}
	if _, _, err := s.Revoke(ctx, store.Selection{UserID: user}); err != nil {
		return fmt.Errorf("recorded revoke: %w", err)
	}
	if _, _, err := s.Events(ctx, ""); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	return nil
}

// inTransaction revokes in a transaction of the application, whose settings
// stay the same.
func inTransaction(ctx context.Context, pool *pgxpool.Pool, m *sessionstore.Manager) error {
	const settings = "SELECT pg_catalog.string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_catalog.pg_settings WHERE context = 'user'"
	if _, err := m.Store().Create(ctx,
		store.Draft{ID: testkit.NewID(), UserID: "eve"}); err != nil {
		return err
	}
	tag := store.NewTag("org", string(value(testkit.NewID())))
	if err := tagged(ctx, m.Store(), tag); err != nil {
		return err
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	var before, after string
	if err := tx.QueryRow(ctx, settings).Scan(&before); err != nil {
		return err
	}
	if n, err := m.WithTx(tx).RevokeUser(ctx, "eve"); err != nil || n != 1 {
		return fmt.Errorf("revoke in a transaction: %d, %w", n, err)
	}
	if n, err := m.WithTx(tx).RevokeTag(ctx, tag); err != nil || n != taggedSessions {
		return fmt.Errorf("revoke by tag in a transaction: %d, %w", n, err)
	}
	if err := tx.QueryRow(ctx, settings).Scan(&after); err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("the transaction's settings were %s, are %s", before, after)
	}
	return tx.Commit(ctx)
}
