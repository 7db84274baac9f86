package chain_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// unhurried makes the cache's entries stay fresh for longer than a test takes.
func unhurried(c *sessionstore.Config) { c.Cache.Freshness = 5 * time.Minute }

// Without emergencies the cache continues to serve. Everything else is a 503
// that keeps the cookie.
func TestPostgresIsUnavailable(t *testing.T) {
	t.Parallel()
	postgresIsUnavailable(t, testkit.Only(t, postgresFaults, "down"))
}

// The same with every other fault.
//
// Slow: each call of one that hangs waits for its deadline.
func TestSlowPostgresIsUnavailable(t *testing.T) {
	t.Parallel()
	postgresIsUnavailable(t, testkit.Without(t, postgresFaults, "down"))
}

var postgresFaults = map[string]func(*link){
	"down": (*link).down, "hung": (*link).hang, "reset": (*link).reset, "garbage": (*link).garble,
}

// impatientOf sets a short timeout if the fault makes each call wait. Otherwise
// it leaves the time that a busy machine needs.
func impatientOf(fault string) func(*sessionstore.Config) {
	if fault == "hung" {
		return impatient(2 * time.Second)
	}
	return impatient(10 * time.Second)
}

func postgresIsUnavailable(t *testing.T, faults map[string]func(*link)) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			i := r.open(withoutEmergency, unhurried, impatientOf(name))
			s := i.serve(t)
			s.want("/login", http.StatusOK, "alice")
			known, unknown := i.create(t), i.create(t)
			i.warm(t, known)
			had := s.cookie

			fault(i.toPostgres)
			// On a busy machine Redis may reply too late once, and then
			// Postgres is asked.
			rec, err := i.Load(t.Context(), known, 0)
			for tries := 1; err != nil && tries < 5; tries++ {
				rec, err = i.Load(t.Context(), known, 0)
			}
			if err != nil || rec.UserID != "alice" {
				t.Errorf("a session in the cache: %v", err)
			}
			if _, err := i.Load(t.Context(),
				unknown, 0); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("a session that is not: %v, want ErrUnavailable", err)
			}
			if _, err := i.Save(t.Context(),
				known, setting("k", 1)); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("save: %v, want ErrUnavailable", err)
			}
			if _, err := i.Create(t.Context(),
				store.Draft{ID: testkit.NewID()}); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("create: %v, want ErrUnavailable", err)
			}
			if revoked, err := i.Delete(t.Context(),
				unknown); !errors.Is(err, sessionstore.ErrUnavailable) || revoked.Committed {
				t.Errorf("revoke: %+v, %v; want ErrUnavailable", revoked, err)
			}
			for _, path := range []string{"/me", "/set", "/login", "/logout"} {
				status, _, cookies := s.get(path)
				if status != http.StatusServiceUnavailable || cookies != 0 {
					t.Errorf("%s: %d with %d cookies, want 503 and none", path, status, cookies)
				}
			}

			i.toPostgres.heal()
			if s.cookie != had {
				t.Error("the cookie has changed")
			}
			s.want("/me", http.StatusOK, "alice")
			s.want("/set", http.StatusOK, "alice")
			if _, err := i.Load(t.Context(), known, 0); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// A slow Postgres is no outage: everything works, only later.
func TestPostgresIsSlow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.open(), r.open()
	w := &work{t: t, a: a, b: b}
	a.toPostgres.slow(30)
	stop := w.start(4)
	w.turns(30)
	stop()
	w.check()
	if n := a.manager.Count(sessionstore.EventEmergencyBegan); n != 0 {
		t.Errorf("%d emergencies", n)
	}
}

// In an emergency sessions begin in memory, others get a 503, and revokes go to
// the journal. All of it is in Postgres afterwards.
func TestAnEmergencyAndItsEnd(t *testing.T) {
	t.Parallel()
	anEmergency(t, testkit.Only(t, postgresFaults, "down"))
}

// The same with a Postgres that hangs.
//
// Slow: each call of it waits for its deadline.
func TestSlowAnEmergencyAndItsEnd(t *testing.T) {
	t.Parallel()
	anEmergency(t, testkit.Only(t, postgresFaults, "hung"))
}

func anEmergency(t *testing.T, faults map[string]func(*link)) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			a, b := r.open(unhurried, impatientOf(name)), r.open(unhurried)
			known, unknown, ended := a.create(t, "n", 7), a.create(t), a.create(t)
			for _, i := range []*instance{a, b} {
				i.warm(t, known)
				i.warm(t, ended)
			}

			fault(a.toPostgres)
			testkit.Eventually(t, "the emergency begins", func() bool {
				_, err := a.Load(t.Context(), unknown, 0)
				if !errors.Is(err, sessionstore.ErrUnavailable) {
					t.Fatalf("load: %v", err)
				}
				return a.manager.Store().Name() == "memory"
			})
			h := a.manager.Health(t.Context())
			if h.Status != "emergency" || h.EmergencySince == nil {
				t.Errorf("health: %+v", h)
			}
			if rec, err := a.Load(t.Context(), known, 0); err != nil || number(rec, "n") != 7 {
				t.Errorf("a session in the cache: %v", err)
			}
			if _, err := a.Save(t.Context(),
				known, setting("n", 8)); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("it is there to be read only: %v", err)
			}
			fresh, moved := a.create(t, "n", 1), testkit.NewID()
			if rec, err := a.Save(t.Context(),
				fresh, setting("n", 2)); err != nil || number(rec, "n") != 2 {
				t.Errorf("a session in memory: %v", err)
			}
			if _, err := a.Rotate(t.Context(), fresh, moved,
				store.Change{UserID: "alice"}); err != nil {
				t.Errorf("a login in memory: %v", err)
			}
			revoked, err := a.revoke(t, ended)
			if err != nil || revoked.Committed {
				t.Errorf("a revoke: %+v, %v; want it written down and known to the cache", revoked,
					err)
			}
			if _, err := a.Load(t.Context(), ended, 0); !errors.Is(err, sessionstore.ErrNotFound) {
				t.Errorf("a session that was revoked: %v", err)
			}
			if n := pgtest.One[int](t, r.admin, "SELECT count(*) FROM pgsession.sessions"); n != 3 {
				t.Errorf("%d rows, want 3", n)
			}

			a.toPostgres.heal()
			testkit.Eventually(t, "the emergency ends", func() bool {
				return a.manager.Health(t.Context()).Status == "ok"
			})
			for _, i := range []*instance{a, b} {
				if rec, err := i.Load(t.Context(),
					moved, 0); err != nil || rec.UserID != "alice" || number(rec, "n") != 2 {
					t.Errorf("the session made meanwhile: %v", err)
				}
				for _, id := range []store.ID{ended, fresh} {
					_, err := i.Load(t.Context(), id, 0)
					if !errors.Is(err, sessionstore.ErrNotFound) {
						t.Errorf("a session that was ended meanwhile: %v", err)
					}
				}
				for _, id := range []store.ID{known, unknown} {
					if _, err := i.Load(t.Context(), id, 0); err != nil {
						t.Errorf("a session from before: %v", err)
					}
				}
			}
			begun, over := a.manager.Count(sessionstore.EventEmergencyBegan),
				a.manager.Count(sessionstore.EventEmergencyEnded)
			if begun != 1 || over != 1 {
				t.Errorf("%d emergencies begun, %d sessions moved; want 1 and 1", begun, over)
			}
		})
	}
}
