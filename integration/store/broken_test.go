package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// execModes are all modes of pgx: in the last two it reads text.
var execModes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

// unchecked drops the constraints of a database, as a change by hand might. The
// primary key stays.
const unchecked = `
	DO $$
	DECLARE c name;
	BEGIN
		FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'pgsession.sessions'::regclass AND contype = 'c' LOOP
			EXECUTE format('ALTER TABLE pgsession.sessions DROP CONSTRAINT %I', c);
		END LOOP;
	END $$;
	ALTER TABLE pgsession.sessions ALTER version DROP NOT NULL, ALTER data DROP NOT NULL, ALTER created_at DROP NOT NULL,
		ALTER last_seen_at DROP NOT NULL, ALTER absolute_expires_at DROP NOT NULL`

// spoiled lists assignments of an UPDATE that make a row unreadable.
var spoiled = map[string]string{
	"a network":                  "ip = '10.0.0.0/8'",
	"an IPv6 network":            "ip = '2001:db8::/32'",
	"created before all":         "created_at = '-infinity'",
	"created after all":          "created_at = 'infinity'",
	"created in 4713 BC":         "created_at = '4713-01-01 BC'",
	"created in the year 294276": "created_at = '294276-01-01'",
	"no creation":                "created_at = NULL",
	"seen before all":            "last_seen_at = '-infinity'",
	"no use":                     "last_seen_at = NULL",
	"a login that stays fresh":   "authenticated_at = 'infinity'",
	"over before it began":       "absolute_expires_at = '-infinity'",
	"no absolute deadline":       "absolute_expires_at = NULL",
	"no version":                 "version = NULL",
	"version 0":                  "version = 0",
	"a negative version":         "version = -1",
	"an array":                   "data = '[1, 2]'",
	"a string":                   `data = '"x"'`,
	"JSON null":                  "data = 'null'",
	"no data":                    "data = NULL",
}

// logged makes a Manager on the crew's database, and its log.
func (c *crew) logged(mode pgx.QueryExecMode) (*sessionstore.Manager, *testkit.Log) {
	c.t.Helper()
	pool := pgtest.Pool(c.t, c.url, func(pc *pgxpool.Config) {
		pc.ConnConfig.DefaultQueryExecMode = mode
		pc.ConnConfig.Tracer = c.sent
		pc.MaxConns = 8
	})
	log := &testkit.Log{}
	cfg := config("")
	cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m, err := sessionstore.New(c.t.Context(), pool, cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = m.Close() })
	return m, log
}

// spoil makes the row of a session unreadable.
func (c *crew) spoil(id store.ID, assignment string) {
	c.t.Helper()
	n := pgtest.Exec(c.t, c.admin, "UPDATE pgsession.sessions SET "+assignment+" WHERE id = $1",
		id[:])
	if n != 1 {
		c.t.Fatalf("%s: %d rows", assignment, n)
	}
}

// A row that another program's SQL made unreadable fails alone. Its neighbours
// in each statement are answered, the log names its handle, and no emergency
// begins.
func TestBrokenRowFailsAlone(t *testing.T) {
	t.Parallel()
	failsAlone(t, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol)
}

// The same in the other modes of pgx, which read as one of those does.
//
// Slow: each makes some thousand calls.
func TestSlowBrokenRowFailsAlone(t *testing.T) {
	t.Parallel()
	failsAlone(t, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec)
}

func failsAlone(t *testing.T, modes ...pgx.QueryExecMode) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			c := hire(t)
			m, log := c.logged(mode)
			pgtest.Exec(t, c.admin, unchecked, pgx.QueryExecModeSimpleProtocol)
			inner := m.Store()
			client := sessionstore.Client{
				IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "browser/1",
			}
			create := func(user string) store.ID {
				id := testkit.NewID()
				_, err := inner.Create(t.Context(), store.Draft{
					ID: id, UserID: user, Data: value(map[string]int{"n": 1}), Client: client,
				})
				if err != nil {
					t.Fatal(err)
				}
				return id
			}
			var good, broken []store.ID
			for range 8 {
				good = append(good, create("ada"))
			}
			for name, assignment := range spoiled {
				id := create("ada")
				c.spoil(id, assignment)
				broken = append(broken, id)
				_, err := inner.Load(t.Context(), id, 0)
				if !errors.Is(err, sessionstore.ErrUnavailable) ||
					!strings.Contains(err.Error(), string(id.Handle())) {
					t.Errorf("%s: %v", name, err)
				}
			}
			all := append(append([]store.ID(nil), good...), broken...)

			// Many at once, over and over, so that they share statements.
			var running sync.WaitGroup
			for i, id := range all {
				for range 4 {
					running.Go(func() {
						for range 10 {
							_, err := inner.Load(t.Context(), id, 0)
							if i < len(good) && err != nil {
								t.Errorf("a neighbour: %v", err)
							} else if i >= len(good) &&
								!errors.Is(err, sessionstore.ErrUnavailable) {
								t.Errorf("a broken row: %v", err)
							}
						}
					})
				}
			}
			running.Wait()
			for i, id := range all {
				running.Go(func() {
					_, err := inner.Save(t.Context(), id, setting("k", i))
					if i < len(good) && err != nil {
						t.Errorf("the save of a neighbour: %v", err)
					}
				})
			}
			running.Wait()
			touches := make([]store.Touch, len(all))
			for i, id := range all {
				touches[i].ID = id
			}
			if err := inner.Touch(t.Context(), touches); err != nil {
				t.Errorf("touches: %v", err)
			}
			list, err := inner.List(t.Context(), "ada", sessionstore.Page{})
			if err != nil {
				t.Errorf("list: %v", err)
			}
			listed := map[store.ID]bool{}
			for _, rec := range list {
				listed[rec.ID] = true
			}
			for _, id := range good {
				if !listed[id] {
					t.Error("the list misses a session")
				}
			}
			if _, err := json.Marshal(list); err != nil {
				t.Errorf("the list as JSON: %v", err)
			}
			if alive, _, err := inner.Alive(t.Context(),
				good); err != nil || len(alive) != len(good) {
				t.Errorf("%d of %d are alive: %v", len(alive), len(good), err)
			}
			if _, err := inner.Stats(t.Context(), true); err != nil {
				t.Errorf("stats: %v", err)
			}
			for i, id := range all {
				running.Go(func() {
					to := testkit.NewID()
					_, err := inner.Rotate(t.Context(), id, to, store.Change{})
					if i < len(good) && err != nil {
						t.Errorf("the rotation of a neighbour: %v", err)
					}
				})
			}
			running.Wait()
			if c.sent.Count("SessionLoadMany") == 0 || c.sent.Count("SessionSaveMany") == 0 ||
				c.sent.Count("SessionRotateMany") == 0 {
				t.Error("no statement was shared: this test sees nothing")
			}

			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			text := log.String()
			for _, id := range broken {
				if !strings.Contains(text, "session="+string(id.Handle())) {
					t.Errorf("the log does not name the handle %s", id.Handle())
				}
			}
			if m.Count(sessionstore.EventEmergencyBegan) != 0 || m.Store().Name() != "postgres" {
				t.Errorf("an emergency began: %s", m.Store().Name())
			}
			for _, secret := range []string{"10.0.0.0", "browser/1", `\x`} {
				if strings.Contains(text, secret) {
					t.Errorf("the log holds %q", secret)
				}
			}
			// A revoke of a user's sessions includes the broken ones.
			if r, err := m.RevokeUser(t.Context(), "ada"); err != nil || !r.Committed {
				t.Errorf("revoke: %v", err)
			}
			if n := pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions WHERE user_id = 'ada' AND expires_at > now() AND isfinite(created_at)"); n != 0 {
				t.Errorf("%d sessions are left", n)
			}
		})
	}
}

// A list continues behind a page without a readable row, and past rows whose id
// is no id.
func TestListGoesOnBehindBrokenRows(t *testing.T) {
	t.Parallel()
	c := hire(t)
	pgtest.Exec(t, c.admin, unchecked, pgx.QueryExecModeSimpleProtocol)
	first := testkit.NewID()
	if _, err := c.store.Create(t.Context(), store.Draft{ID: first, UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, c.admin, `
		INSERT INTO pgsession.sessions (id, user_id, ip, created_at, expires_at, absolute_expires_at)
		SELECT sha256(int8send(i)), 'ada', inet '10.0.0.0/8', now() + i * interval '1 s', now() + interval '1 h', now() + interval '1 h' FROM generate_series(1, 20) AS i
		UNION ALL
		SELECT int8send(i), 'ada', NULL, now() + i * interval '1 s', now() + interval '1 h', now() + interval '1 h' FROM generate_series(1, 20) AS i`)
	list, err := c.store.List(t.Context(), "ada", sessionstore.Page{Max: 7})
	if err != nil || len(list) != 1 || list[0].ID != first {
		t.Fatalf("%d sessions: %v", len(list), err)
	}
	next := sessionstore.Page{Max: 7, Before: list[0].CreatedAt, After: list[0].ID}
	if list, err = c.store.List(t.Context(), "ada", next); err != nil || len(list) != 0 {
		t.Errorf("then %d sessions: %v", len(list), err)
	}
	ids, _, err := c.store.Revoke(t.Context(), store.Selection{UserID: "ada"})
	if err != nil || len(ids) != 21 {
		t.Errorf("revoked %d: %v", len(ids), err)
	}
}

// A list whose rows are all broken in the column that it is sorted by ends.
func TestListOfBrokenRowsEnds(t *testing.T) {
	t.Parallel()
	c := hire(t)
	pgtest.Exec(t, c.admin, unchecked, pgx.QueryExecModeSimpleProtocol)
	pgtest.Exec(t, c.admin, `
		INSERT INTO pgsession.sessions (id, user_id, created_at, expires_at, absolute_expires_at)
		SELECT sha256(int8send(i)), 'ada', '-infinity', now() + interval '1 h', now() + interval '1 h' FROM generate_series(1, 20) AS i`)
	list, err := c.store.List(t.Context(), "ada", sessionstore.Page{Max: 7})
	if err != nil || len(list) != 0 {
		t.Errorf("%d sessions: %v", len(list), err)
	}
}

// A row that a CHECK would refuse today fails at each change. Touches share a
// statement: the others are written.
func TestTouchPassesOverARowThatPostgresRefuses(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(9)
	bad := ids[4]
	m, log := c.logged(pgx.QueryExecModeCacheStatement)
	pgtest.Exec(t, c.admin,
		"ALTER TABLE pgsession.sessions DROP CONSTRAINT sessions_user_agent_check",
		pgx.QueryExecModeSimpleProtocol)
	c.spoil(bad, "user_agent = repeat('x', 600)")
	pgtest.Exec(t, c.admin, "ALTER TABLE pgsession.sessions ADD CONSTRAINT sessions_user_agent_check CHECK (octet_length(user_agent) <= 512) NOT VALID",
		pgx.QueryExecModeSimpleProtocol)
	pgtest.Exec(t, c.admin, "UPDATE pgsession.sessions SET user_agent = NULL, last_seen_at = now() - interval '5 min', created_at = now() - interval '5 min' WHERE id <> $1", bad[:])
	touches := make([]store.Touch, len(ids))
	for i := range ids {
		touches[i] = store.Touch{ID: ids[i]}
	}
	if err := m.Store().Touch(t.Context(), touches); err != nil {
		t.Error(err)
	}
	if n := pgtest.One[int](t, c.admin, "SELECT count(*) FROM pgsession.sessions WHERE last_seen_at > now() - interval '1 min' AND id <> $1", bad[:]); n != len(ids)-1 {
		t.Errorf("%d were touched, want %d", n, len(ids)-1)
	}
	if !strings.Contains(log.String(), "session="+string(bad.Handle())) {
		t.Errorf("the log does not name the session: %s", log)
	}
}

// "This kiosk never logs out": an infinite deadline is the furthest date,
// through every operation, in every mode.
func TestInfiniteDeadline(t *testing.T) {
	t.Parallel()
	for _, mode := range execModes {
		for _, deadline := range []string{
			"infinity", "294276-12-31 23:59:59 UTC", "10000-01-01 00:00:00 UTC",
		} {
			t.Run(mode.String()+"/"+deadline, func(t *testing.T) {
				t.Parallel()
				c := hire(t)
				m, log := c.logged(mode)
				inner, id, to := m.Store(), testkit.NewID(), testkit.NewID()
				if _, err := inner.Create(t.Context(),
					store.Draft{ID: id, UserID: "kiosk"}); err != nil {
					t.Fatal(err)
				}
				c.spoil(id, "absolute_expires_at = '"+deadline+"', expires_at = '"+deadline+"'")
				for name, ask := range map[string]func() (store.Record, error){
					"load": func() (store.Record, error) { return inner.Load(t.Context(), id, 0) },
					"save": func() (store.Record, error) {
						return inner.Save(t.Context(), id, setting("k", 1))
					},
					"list": func() (store.Record, error) {
						recs, err := inner.List(t.Context(), "kiosk", sessionstore.Page{})
						if len(recs) != 1 {
							t.Fatalf("%d sessions in the list", len(recs))
						}
						return recs[0], err
					},
				} {
					rec, err := ask()
					if err != nil || rec.ExpiresAt.Year() != 9999 ||
						rec.AbsoluteExpiresAt.Year() != 9999 {
						t.Errorf("%s: %v, %v: %v", name, rec.ExpiresAt, rec.AbsoluteExpiresAt, err)
					}
				}
				if err := inner.Touch(t.Context(), []store.Touch{{ID: id}}); err != nil {
					t.Errorf("touch: %v", err)
				}
				if rec, err := inner.Rotate(t.Context(),
					id, to, store.Change{}); err != nil || rec.AbsoluteExpiresAt.Year() != 9999 {
					t.Errorf("rotate: %v: %v", rec.AbsoluteExpiresAt, err)
				}
				if n, err := m.Prune(t.Context()); n != 0 || err != nil {
					t.Errorf("pruned %d: %v", n, err)
				}
				infos, err := m.List(t.Context(), "kiosk", sessionstore.Page{})
				if err != nil || len(infos) != 1 {
					t.Fatalf("%d sessions: %v", len(infos), err)
				}
				if _, err := json.Marshal(infos); err != nil {
					t.Errorf("as JSON: %v", err)
				}
				if r, err := m.Revoke(context.Background(),
					"kiosk", to.Handle()); err != nil || r.Count != 1 {
					t.Errorf("revoked %d: %v", r.Count, err)
				}
				if strings.Contains(log.String(), "unusable") {
					t.Errorf("logged as broken: %s", log)
				}
			})
		}
	}
}

// Postgres returns no row of more than a gigabyte.
//
// Slow: Postgres writes a gigabyte.
func TestSlowRowThatPostgresCannotReturn(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(2)
	pgtest.Exec(t, c.admin, unchecked, pgx.QueryExecModeSimpleProtocol)
	c.spoil(ids[0], `data = ('{"k":"' || repeat('x', 600000000) || '"}')::json`)
	c.spoil(ids[0], "user_agent = repeat('x', 600000000)")
	_, err := c.store.Load(t.Context(), ids[0], 0)
	if !errors.Is(err, sessionstore.ErrUnavailable) || !strings.Contains(err.Error(),
		string(ids[0].Handle())) || !strings.Contains(err.Error(), "54000") {
		t.Errorf("Load: %v", err)
	}
	c.load(ids[1])
	if _, err := c.store.Delete(t.Context(), ids[0]); err != nil {
		t.Errorf("Delete: %v", err)
	}
}

// A save writes all digits of 1e131071, and Postgres writes no value of more
// than a gigabyte. So the table takes such data from another writer, each load
// returns it, and each save of this session is refused.
//
// Slow: Postgres writes a gigabyte of digits.
func TestSlowDataThatPostgresCannotMerge(t *testing.T) {
	t.Parallel()
	c := hire(t)
	ids := c.sessions(2)
	c.spoil(ids[0], `data = ('{"k": [' || repeat('1e131071, ', 9000) || '0]}')::json`)
	c.load(ids[0])
	_, err := c.store.Save(t.Context(), ids[0], setting("k2", 1))
	if err == nil || errors.Is(err, sessionstore.ErrUnavailable) ||
		strings.Contains(err.Error(), "1e131071") {
		t.Errorf("a save: %v", err)
	}
	if _, err := c.store.Save(t.Context(), ids[1], setting("k2", 1)); err != nil {
		t.Errorf("the save of a neighbour: %v", err)
	}
	dropped := setting("k", 1)
	dropped.DropData = true
	if _, err := c.store.Save(t.Context(), ids[0], dropped); err != nil {
		t.Errorf("a save that drops the data: %v", err)
	}
}
