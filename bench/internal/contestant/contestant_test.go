package contestant_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/rows"
)

const n = 500

// servers returns a database and a cache with n rows.
func servers(t *testing.T) (*rows.Database, *rows.Cache) {
	t.Helper()
	server, redis := os.Getenv("TEST_DATABASE_URL"), os.Getenv("TEST_REDIS_URL")
	if server == "" || redis == "" {
		t.Fatal("TEST_DATABASE_URL or TEST_REDIS_URL is not set: run the tests with `make test`")
	}
	d, err := rows.NewDatabase(t.Context(), server, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, d.Close) })
	if err := errors.Join(d.Fill(t.Context(), n), d.FillSCS(t.Context(), n)); err != nil {
		t.Fatal(err)
	}
	c, err := rows.NewCache(t.Context(), redis)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, c.Close) })
	if err := c.Fill(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return d, c
}

func closed(t *testing.T, f func() error) {
	if err := f(); err != nil {
		t.Error(err)
	}
}

// open opens every contestant.
func open(t *testing.T, d *rows.Database, c *rows.Cache) (loaders []contestant.Loader) {
	t.Helper()
	add := func(l contestant.Loader, err error) {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closed(t, l.Close) })
		loaders = append(loaders, l)
	}
	ctx := t.Context()
	library, err := contestant.NewLibrary(ctx, d)
	add(library, err)
	plain, err := contestant.NewPlain(ctx, d)
	add(plain, err)
	deadline, err := contestant.NewDeadline(ctx, d)
	add(deadline, err)
	scsPgx, err := contestant.NewSCSPgx(ctx, d)
	add(scsPgx, err)
	scsRedis, err := contestant.NewSCSRedis(c)
	add(scsRedis, err)
	gorilla, err := contestant.NewGorilla(c, n, 8)
	add(gorilla, err)
	goRedis, err := contestant.NewGoRedis(c)
	add(goRedis, err)
	pipeline, err := contestant.NewAutoPipeline(c)
	add(pipeline, err)
	return loaders
}

func TestEveryContestantLoadsTheRightRow(t *testing.T) {
	d, c := servers(t)
	for _, l := range open(t, d, c) {
		if err := contestant.Verify(t.Context(), l, n); err != nil {
			t.Error(err)
		}
		if rate, err := contestant.Rate(t.Context(), l, n, 8, 20*time.Millisecond); err != nil ||
			rate <= 0 {
			t.Errorf("%s: %v, %v", l.Name(), rate, err)
		}
		if _, err := contestant.Rate(t.Context(), l, 2*n, 8, 100*time.Millisecond); err == nil {
			t.Errorf("%s: loads of rows that are not there went unnoticed", l.Name())
		}
	}
}

func TestSavesAndLoginsAreKept(t *testing.T) {
	d, c := servers(t)
	tested := 0
	for _, l := range open(t, d, c) {
		if s, ok := l.(contestant.Saver); ok {
			tested++
			if err := s.Save(t.Context(), 3, rows.Name(77)); err != nil {
				t.Errorf("%s: %v", l.Name(), err)
			}
			payload, err := l.Payload(t.Context(), 3)
			if err := errors.Join(err, rows.Check(77, payload)); err != nil {
				t.Errorf("%s: %v", l.Name(), err)
			}
		}
		if ls, ok := l.(contestant.Logins); ok {
			tested++
			login(t, ls)
		}
	}
	if tested != 4 {
		t.Errorf("%d contestants that save or log in, want 2 of each", tested)
	}
}

func login(t *testing.T, ls contestant.Logins) {
	visitor, err := ls.NewLogin(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", ls.Name(), err)
	}
	for _, name := range []string{"ann", "bob"} {
		if err := visitor.Login(t.Context(), name); err != nil {
			t.Errorf("%s: %v", ls.Name(), err)
		}
		if user, err := visitor.User(t.Context()); err != nil || user != name {
			t.Errorf("%s: %q is logged in, not %q; %v", ls.Name(), user, name, err)
		}
	}
}

func TestPgbenchRuns(t *testing.T) {
	d, _ := servers(t)
	p, err := contestant.NewPgbench(d, n)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, p.Close) }()
	if rate, err := p.Rate(t.Context(), 2, time.Second); err != nil || rate <= 0 {
		t.Errorf("%v, %v", rate, err)
	}
}

// broken is a contestant that finds no row, or the wrong one.
type broken struct {
	contestant.Loader

	payload []byte
	err     error
}

func (broken) Name() string                      { return "broken" }
func (b broken) Load(context.Context, int) error { return b.err }
func (b broken) Payload(context.Context, int) ([]byte, error) {
	return b.payload, b.err
}

func TestVerifyFindsBrokenContestants(t *testing.T) {
	for name, b := range map[string]broken{
		"one that fails":                   {err: errors.New("no")},
		"one that loads nothing":           {},
		"one that loads always the same":   {payload: rows.Payload(0)},
		"one that loads something similar": {payload: []byte(`{"name":"user-00000000"}`)},
	} {
		if contestant.Verify(t.Context(), b, n) == nil {
			t.Errorf("%s passed", name)
		}
	}
}

// LoadSQL is exactly the library's statement.
func TestLoadSQLIsTheLibrarys(t *testing.T) {
	generated, err := os.ReadFile("../../../internal/gen/session.sql.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(generated), contestant.LoadSQL+"\n`") {
		t.Error("internal/gen has another SessionLoad than contestant.LoadSQL")
	}
}
