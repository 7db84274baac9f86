package chain_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// moving is an instance in an emergency with a session in its memory. Its first
// message to Postgres about that session is lost.
type moving struct {
	*rig
	t    *testing.T
	a, b *instance // b reaches Postgres throughout
	id   store.ID
	lost *trap
}

// lostAt is the point at which the restore of a session loses a message.
type lostAt struct {
	stream string
	word   func(store.ID) string
	made   bool // Postgres has the session's own id by then
}

var lostRestores = map[string]lostAt{
	"the answer to its row": {"downstream", func(store.ID) string { return "INSERT 0 " }, false},
	"the question for its id": {
		"upstream", func(store.ID) string { return "SessionRotate" }, false,
	},
	"the answer about its own": {
		"downstream", func(id store.ID) string { return string(id[:]) }, true,
	},
}

func startMove(t *testing.T, at lostAt) *moving {
	r := newRig(t)
	m := &moving{rig: r, t: t, a: r.open(impatient(2 * time.Second)), b: r.open()}
	m.a.toPostgres.down()
	testkit.Eventually(t, "the emergency begins", func() bool {
		_, _ = m.a.Load(t.Context(), testkit.NewID(), 0)
		return m.a.manager.Store().Name() == "memory"
	})
	m.id = m.a.create(t, "n", 1)
	m.lost = m.a.toPostgres.trapped("loss", at.stream, at.word(m.id))
	m.lost.left.Store(1)
	<-m.lost.sprung
	return m
}

// ends waits for the end of the emergency, and fails if a revoked session is
// served.
func (m *moving) ends(revoked bool) {
	m.t.Helper()
	testkit.Eventually(m.t, "the emergency ends", func() bool {
		if _, err := m.a.Load(m.t.Context(), m.id, 0); revoked && err == nil {
			m.t.Fatal("the session is served by the instance that had it in memory, after another has ended it")
		}
		return m.a.manager.Health(m.t.Context()).Status == "ok"
	})
}

// want compares the final state: at both instances, and in the rows of
// Postgres.
func (m *moving) want(alive bool) {
	m.t.Helper()
	for _, i := range []*instance{m.a, m.b} {
		rec, err := i.Load(context.Background(), m.id, 0)
		if alive && (err != nil || number(rec, "n") != 1) ||
			!alive && !errors.Is(err, sessionstore.ErrNotFound) {
			m.t.Errorf("in the end: %v, want it alive: %t", err, alive)
		}
	}
	m.rows(map[bool]int{true: 1}[alive])
}

func (m *moving) rows(want int) {
	m.t.Helper()
	if n := pgtest.One[int](m.t, m.admin, "SELECT count(*) FROM pgsession.sessions"); n != want {
		m.t.Errorf("%d rows, want %d", n, want)
	}
}

// A message of a session's restore is lost, and another instance ends the
// session before the restore is repeated.
func TestARestoreWithoutAReply(t *testing.T) {
	t.Parallel()
	restoresWithoutAReply(t, testkit.Only(t, lostRestores, "the answer about its own"))
}

// The same, lost before the session has its own id.
//
// Slow: each waits for the end of an emergency whose call hangs.
func TestSlowARestoreWithoutAReply(t *testing.T) {
	t.Parallel()
	restoresWithoutAReply(t, testkit.Without(t, lostRestores, "the answer about its own"))
}

func restoresWithoutAReply(t *testing.T, moves map[string]lostAt) {
	for where, at := range moves {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			t.Run("it goes on", func(t *testing.T) {
				t.Parallel()
				m := startMove(t, at)
				m.ends(false)
				m.want(true)
				moved := m.a.manager.CountSessions(sessionstore.EventEmergencyEnded)
				if moved != 1 {
					t.Errorf("%d sessions moved, want 1", moved)
				}
			})
			t.Run("it is ended where it was made", func(t *testing.T) {
				t.Parallel()
				m := startMove(t, at)
				testkit.Eventually(t, "it is ended", func() bool {
					_, err := m.a.Delete(t.Context(), m.id)
					return err == nil
				})
				m.ends(true)
				m.want(false)
			})
			if !at.made {
				return // no other instance has it
			}
			t.Run("it is ended elsewhere", func(t *testing.T) {
				t.Parallel()
				m := startMove(t, at)
				if _, err := m.b.Load(t.Context(), m.id, 0); err != nil {
					t.Errorf("elsewhere: %v", err)
				}
				if revoked, err := m.b.revoke(t, m.id); err != nil || !revoked.Committed {
					t.Errorf("%+v, %v", revoked, err)
				}
				m.ends(true)
				m.want(false)
			})
			t.Run("all of the user are ended elsewhere", func(t *testing.T) {
				t.Parallel()
				m := startMove(t, at)
				revoked, err := m.b.manager.RevokeUser(t.Context(), "alice")
				if err != nil || !revoked.Committed || revoked.Count != 1 {
					t.Errorf("%+v, %v", revoked, err)
				}
				m.ends(true)
				m.want(false)
			})
		})
	}
}

// The process dies at that moment. Revoking the user's sessions ends what it
// left in Postgres, for good.
func TestAProcessThatDiesWhileItMovesASession(t *testing.T) {
	t.Parallel()
	diesWhileItMoves(t, testkit.Only(t, lostRestores, "the answer to its row"))
}

// The same at the other moments.
//
// Slow: each waits for calls that hang.
func TestSlowAProcessThatDiesWhileItMovesASession(t *testing.T) {
	t.Parallel()
	diesWhileItMoves(t, testkit.Without(t, lostRestores, "the answer to its row"))
}

func diesWhileItMoves(t *testing.T, moves map[string]lostAt) {
	for where, at := range moves {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			m := startMove(t, at)
			m.a.toPostgres.down()
			if _, err := m.b.Load(t.Context(), m.id, 0); at.made != (err == nil) ||
				err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
				t.Errorf("elsewhere: %v", err)
			}
			m.rows(1)
			if revoked, err := m.b.manager.RevokeUser(t.Context(),
				"alice"); err != nil || revoked.Count != 1 {
				t.Errorf("%+v, %v", revoked, err)
			}
			m.rows(0)
			// It has yet to learn the outcome of its call.
			if err := m.a.manager.Close(); !errors.Is(err, sessionstore.ErrUnavailable) {
				t.Errorf("close: %v", err)
			}
			if _, err := m.b.Load(t.Context(),
				m.id, 1<<40); !errors.Is(err, sessionstore.ErrNotFound) {
				t.Errorf("in the end: %v", err)
			}
		})
	}
}
