package failover_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// standbyIsNotMigrated has a database that is in recovery looked at, and not
// changed.
func standbyIsNotMigrated(t *testing.T, p *pair) {
	p.caughtUp()
	if steps, err := db.Up(t.Context(), p.standby.pool, db.Options{}); err != nil {
		t.Errorf("up with nothing pending: %v, %v", steps, err)
	}
	states, err := db.Status(t.Context(), p.standby.pool, db.Options{})
	if err != nil || !states[0].Applied {
		t.Errorf("status: %v, %v", states, err)
	}
	_, err = db.Up(t.Context(), p.standby.pool, db.Options{Schema: "other"})
	if err == nil || !strings.Contains(err.Error(), "migrate on the primary") {
		t.Errorf("up: %v", err)
	}
	_, err = db.Down(t.Context(), p.standby.pool, db.Options{})
	if err == nil || !strings.Contains(err.Error(), "migrate on the primary") {
		t.Errorf("down: %v", err)
	}
}

// needNot has the statements that a standby may answer, by the reason.
var needNot = map[string]string{
	"the next statement of the same connection notices or is refused": `SessionLoad
		SessionPending OwnerHasHandle`,
	"it follows OwnerLock in its transaction": "OwnerCount",
	"a sweep ends with a statement that deletes, and sees none": `OwnerFind AllFind
		SessionAwaitStandby`,
	"a number, which decides nothing": `ExpiryCount ExpiryEstimate ExpiryLastPrune
		DistributedExpired DistributedSample`,
	"a worker of Citus answers it, also to a coordinator that is a standby": `DistributedEntries
		DistributedListed DistributedRow`,
	"a prune deletes only what has expired": "ExpiryPrune",
	"events are read from any server":       "EventPage",
	"the schema and the settings": `CatalogFacts CatalogRights CatalogLockTimeout
		CatalogWithoutJIT`,
}

// standbyServesNothing connects to a standby without target_session_attrs. It
// gets no session from there, can't end one there, and is not told that one
// lives or has ended.
func standbyServesNothing(t *testing.T, p *pair) {
	truth := storeOn(t, p.url(p.primary, p.standby, readWrite), testkit.Patience)
	tag := sessionstore.NewTag("team", "a")
	ids := make([]store.ID, 10)
	for i := range ids {
		ids[i] = store.ID{byte(i), 1}
		_, err := truth.Create(t.Context(), store.Draft{
			ID: ids[i], UserID: "alice", Tags: []store.Tag{tag},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	p.caughtUp()
	// Each refusal makes the pool connect anew, which takes time.
	sent := &testkit.Statements{}
	pool := pgtest.Pool(t, p.url(p.standby, p.standby, ""), func(pc *pgxpool.Config) {
		pc.ConnConfig.Tracer = sent
	})
	inner := postgres.New(pool, expiry, testkit.Patience)
	for name, call := range map[string]func(context.Context, store.ID) error{
		"Load": func(ctx context.Context, id store.ID) error {
			_, err := inner.Load(ctx, id, 0)
			return err
		},
		"Load of an unknown session": func(ctx context.Context, id store.ID) error {
			id[31] = 9 // the primary's newest session may be missing here, too
			_, err := inner.Load(ctx, id, 0)
			return err
		},
		"Create": func(ctx context.Context, id store.ID) error {
			id[31] = 8
			_, err := inner.Create(ctx, store.Draft{ID: id})
			return err
		},
		"Save": func(ctx context.Context, id store.ID) error {
			_, err := inner.Save(ctx, id,
				store.Change{Set: map[string]json.RawMessage{"k": json.RawMessage("1")}})
			return err
		},
		"Rotate": func(ctx context.Context, id store.ID) error {
			to := id
			to[31] = 7
			_, err := inner.Rotate(ctx, id, to, store.Change{})
			return err
		},
		"Delete": func(ctx context.Context, id store.ID) error {
			_, err := inner.Delete(ctx, id)
			return err
		},
		"Revoke": func(ctx context.Context, _ store.ID) error {
			_, _, err := inner.Revoke(ctx, store.Selection{UserID: "alice"})
			return err
		},
		"Touch": func(ctx context.Context, id store.ID) error {
			return inner.Touch(ctx, []store.Touch{{ID: id}})
		},
		"Alive": func(ctx context.Context, id store.ID) error {
			_, _, err := inner.Alive(ctx, []store.ID{id})
			return err
		},
		"Alive of an unknown session": func(ctx context.Context, id store.ID) error {
			id[31] = 9
			_, _, err := inner.Alive(ctx, []store.ID{id})
			return err
		},
		"List": func(ctx context.Context, _ store.ID) error {
			_, err := inner.List(ctx, "alice", store.Page{})
			return err
		},
		"List of an unknown user": func(ctx context.Context, _ store.ID) error {
			_, err := inner.List(ctx, "bob", store.Page{})
			return err
		},
		"List of a tag": func(ctx context.Context, _ store.ID) error {
			_, err := inner.List(ctx, "", store.Page{Tag: tag})
			return err
		},
		"List of all": func(ctx context.Context, _ store.ID) error {
			_, err := inner.List(ctx, "", store.Page{All: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := call(t.Context(), ids[0]); !errors.Is(err, sessionstore.ErrUnavailable) ||
				errors.Is(err, sessionstore.ErrOutcomeUnknown) {
				t.Errorf("alone: %v, want ErrUnavailable", err)
			}
			failed := make(chan error, len(ids)) // concurrently they share statements
			for _, id := range ids {
				go func() { failed <- call(t.Context(), id) }()
			}
			for range ids {
				err := <-failed
				if !errors.Is(err, sessionstore.ErrUnavailable) ||
					errors.Is(err, sessionstore.ErrOutcomeUnknown) {
					t.Errorf("together: %v, want ErrUnavailable", err)
				}
			}
		})
	}
	t.Run("each statement", func(t *testing.T) { eachStatement(t, pool, sent) })
	pgtest.Exec(t, p.primary.pool, "TRUNCATE pgsession.sessions, pgsession.marks")
}

// eachStatement finds the statements that a standby answers as if it were the
// primary, and that are not in needNot. The calls before it have sent some.
func eachStatement(t *testing.T, standby *pgxpool.Pool, sent *testkit.Statements) {
	passes := map[string]bool{}
	for _, names := range needNot {
		for name := range strings.FieldsSeq(names) {
			passes[name] = true
		}
	}
	queries := reflect.ValueOf(gen.New())
	for i := range queries.NumMethod() {
		name := queries.Type().Method(i).Name
		noticed := sent.Count(name) > 0 || notices(t, standby, queries.Method(i))
		switch {
		case !passes[name] && !noticed:
			t.Errorf("%s: a standby answers it", name)
		case passes[name] && name != "SessionLoad" && noticed:
			t.Errorf("%s: a standby does not answer it, so needNot must not have it", name)
		}
		delete(passes, name)
	}
	for name := range passes {
		t.Errorf("%s is no statement", name)
	}
}

// notices sends a statement with zero values to a standby, and reports whether
// the server refuses it or its answer says that it is one.
func notices(t *testing.T, standby *pgxpool.Pool, statement reflect.Value) bool {
	args := []reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(standby)}
	for i := len(args); i < statement.Type().NumIn(); i++ {
		arg := reflect.Zero(statement.Type().In(i))
		if arg.Kind() == reflect.Pointer {
			arg = reflect.New(arg.Type().Elem())
		}
		args = append(args, arg)
	}
	results := statement.Call(args)
	if err, _ := results[len(results)-1].Interface().(error); err != nil {
		var pg *pgconn.PgError
		return errors.As(err, &pg) && pg.Code == "25006" // read_only_sql_transaction
	}
	row := results[0]
	if row.Kind() == reflect.Slice && row.Len() > 0 {
		row = row.Index(0)
	}
	row = reflect.Indirect(row)
	if row.Kind() != reflect.Struct {
		return false
	}
	is := row.FieldByName("Standby")
	return is.IsValid() && is.Bool()
}
