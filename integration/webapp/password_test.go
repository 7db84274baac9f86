package webapp_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

const newPassword = "sesame-from-now-on"

func (v *visitor) refused(user, password string) {
	v.t.Helper()
	got := v.send("POST /login", "name="+user, "password="+password)
	if got.status != http.StatusUnprocessableEntity || got.header["Set-Cookie"] != nil {
		v.t.Errorf("a wrong password: %d, cookies %d", got.status, len(got.header["Set-Cookie"]))
	}
}

func TestPasswordsAreAskedFor(t *testing.T) {
	t.Parallel()
	databaseURL := pgtest.Database(t)
	pool := pgtest.Pool(t, databaseURL)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	visit(t, a.url).refused("alice", "short") // makes no user
	loginWith(t, a.url, "alice", password).want("GET /api/me", http.StatusOK, "alice")
	loginWith(t, a.url, "alice", password)
	for _, wrong := range []string{"", "short", newPassword, password + "x"} {
		visit(t, a.url).refused("alice", wrong)
	}
	kept := pgtest.One[string](t, pool, "SELECT password FROM webapp.users WHERE name = 'alice'")
	if kept == password {
		t.Error("the password is kept as it is")
	}
}

// The first login takes the name. The others get the error of a wrong password.
func TestFirstLoginsAtOnce(t *testing.T) {
	t.Parallel()
	databaseURL := pgtest.Database(t)
	pool := pgtest.Pool(t, databaseURL)
	a, b := start(t, development, "DATABASE_URL="+databaseURL),
		start(t, development, "DATABASE_URL="+databaseURL)
	loginWith(t, a.url, "bob", password) // makes the table

	// The table can be read and not written: all of them find no user alice
	// before one of them takes the name.
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(),
		"LOCK TABLE webapp.users IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for i, site := range []string{a.url, b.url, a.url, b.url} {
		all.Go(func() {
			got, err := visit(t, site).try("POST /login", "name=alice",
				"password="+password+string(rune('0'+i)))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if got.status == http.StatusSeeOther {
				in++
			} else if got.status != http.StatusUnprocessableEntity {
				t.Errorf("a first login: %d", got.status)
			}
		})
	}
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	testkit.Eventually(t, "all of them want to take the name", func() bool {
		return pgtest.One[int](t, pool, waiting) == 4
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if in != 1 {
		t.Errorf("%d of them are alice, want 1", in)
	}
}

func TestANewPasswordEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	a := start(t, development, "DATABASE_URL="+pgtest.Database(t))
	here, there, bob := loginWith(t, a.url, "alice", password),
		loginWith(t, a.url, "alice", password), loginWith(t, a.url, "bob", password)
	copied := *here
	got := here.send("POST /password", "password="+newPassword)
	if got.status != http.StatusSeeOther {
		t.Fatalf("changing the password: %d\n%s", got.status, got.body)
	}
	there.want("GET /api/me", http.StatusUnauthorized, "")
	copied.want("GET /api/me", http.StatusUnauthorized, "") // of a cookie that has been replaced
	here.want("GET /api/me", http.StatusOK, "alice")
	bob.want("GET /api/me", http.StatusOK, "bob")
	wantSaid(t, here.send("GET /devices").body,
		"Your password is changed. One device is logged out.")
	visit(t, a.url).refused("alice", password)
	loginWith(t, a.url, "alice", newPassword)
}

// Both happen or neither: if one half fails, the other is rolled back.
func TestANewPasswordAndTheRevocationsAreOneTransaction(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]string{
		"the sessions can't be ended": "CREATE TRIGGER fault BEFORE DELETE ON pgsession.sessions FOR EACH ROW EXECUTE FUNCTION public.fault()",
		"the commit fails": "CREATE CONSTRAINT TRIGGER fault AFTER INSERT OR UPDATE ON webapp.users DEFERRABLE INITIALLY DEFERRED " +
			"FOR EACH ROW EXECUTE FUNCTION public.fault()",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databaseURL := pgtest.Database(t)
			pool := pgtest.Pool(t, databaseURL)
			a := start(t, development, "DATABASE_URL="+databaseURL)
			here, there := loginWith(t, a.url, "alice", password),
				loginWith(t, a.url, "alice", password)
			pgtest.Exec(t, pool, "CREATE FUNCTION public.fault() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$")
			pgtest.Exec(t, pool, fault)

			got := here.send("POST /password", "password="+newPassword)
			if got.status < http.StatusInternalServerError {
				t.Errorf("changing the password: %d", got.status)
			}
			here.want("GET /api/me", http.StatusOK, "alice")
			there.want("GET /api/me", http.StatusOK, "alice")
			visit(t, a.url).refused("alice", newPassword)
			loginWith(t, a.url, "alice", password)
		})
	}
}

// The password is the new one and the revoke after the commit failed: the page
// says so, and the same form once more does all of it.
func TestANewPasswordWhoseRevokeIsUncertain(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	here := loginWith(t, a.url, "alice", password)
	pgtest.Exec(t, pool, `CREATE SEQUENCE public.marked;
		CREATE FUNCTION public.fault() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			IF pg_catalog.nextval('public.marked') >= 2 THEN RAISE EXCEPTION 'no'; END IF;
			RETURN NULL;
		END$$;
		CREATE TRIGGER fault AFTER INSERT OR UPDATE ON pgsession.marks
		FOR EACH ROW EXECUTE FUNCTION public.fault()`)
	here.send("POST /password", "password="+newPassword)
	wantSaid(t, here.send("GET /devices").body,
		"Your password is changed, but other devices may still be logged in.")
	pgtest.Exec(t, pool, "DROP TRIGGER fault ON pgsession.marks")
	// A login that was under way with the old password.
	there := login(t, a.url, "alice")
	here.send("POST /password", "password="+newPassword)
	wantSaid(t, here.send("GET /devices").body, "Your password is changed. One device")
	there.want("GET /api/me", http.StatusUnauthorized, "")
}

func TestAnOldLoginIsAskedForThePassword(t *testing.T) {
	t.Parallel()
	databaseURL := pgtest.Database(t)
	pool := pgtest.Pool(t, databaseURL)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	v := loginWith(t, a.url, "alice", password)
	wantSaid(t, v.want("GET /password", http.StatusOK, "").body, "Change your password")

	pgtest.AgeLogins(t, pool)
	wantSaid(t, v.want("GET /password", http.StatusOK, "").body, "Is it you?")
	if got := v.send("POST /password",
		"password="+newPassword); got.status != http.StatusForbidden {
		t.Errorf("changing the password without a recent login: %d", got.status)
	}
	visit(t, a.url).refused("alice", newPassword)
	if got := v.send("POST /confirm",
		"password="+newPassword); got.status != http.StatusUnprocessableEntity {
		t.Errorf("confirming with a wrong password: %d", got.status)
	}
	stale := *v
	if got := v.send("POST /confirm", "password="+password); got.status != http.StatusSeeOther {
		t.Errorf("confirming: %d", got.status)
	}
	stale.want("GET /api/me", http.StatusUnauthorized, "")
	wantSaid(t, v.want("GET /password", http.StatusOK, "").body, "Change your password")
}
