package coherence

import (
	"fmt"
	"testing"
	"time"
)

// users is the model of revokes of a user. It has the rows in Postgres, a login
// with the old password, a thief's session that gets a new id, a session of
// another instance's emergency, and two revokes: one by another request and one
// by the request of the login. It is comparable.
type users struct {
	at    int8
	marks [3]userMark
	rows  rowSet

	revoke userRevoke // by another request, with the new password
	own    userRevoke // by the request of the login, before it

	login   loginState
	began   int8
	asked   int8    // when its look was sent
	now     int8    // Postgres's clock in the reply to the look
	saw     [3]bool // the marks in it
	rotated bool
	restore restoreState
	found   bool // the restore's look saw a mark
}

// userMark is a row of marks. Its times are ticks.
type userMark struct {
	there   bool
	visible bool
	at      int8
	own     bool // by the request of the login
}

// rowSet is the sessions of the user in Postgres.
type rowSet uint8

const (
	loginRow     rowSet = 1 << iota
	thiefRow            // a session from before the revoke, whose token a thief has
	thiefNext           // the same under its next id
	temporaryRow        // the emergency's, under a temporary id
	madeRow             // the same under its own id, whose token a browser has
)

type userRevoke struct {
	step  revokeStep
	seen  rowSet
	since int8 // logins that began earlier use the old password
}

type revokeStep uint8

const (
	revokeIdle revokeStep = iota
	inTransaction
	markedNow
	snapshotTaken
	committedOnce // the transaction is committed, and its second pass has not begun
	returned
)

type loginState uint8

const (
	notBegun loginState = iota
	loginBegun
	loginWritten
	lookSent
	lookAnswered
	loginOut // a browser has its token
	loginRefused
)

type restoreState uint8

const (
	inMemory restoreState = iota
	temporary
	lookedUp
	restored
	dropped
)

// habits is what revokes and logins must do.
type habits struct {
	refused       func(Login, time.Time, time.Time) bool
	marks         bool // a revoke adds a mark
	marksFirst    bool // before it deletes
	inserts       bool // a mark of its own, instead of updating the previous one
	sawNone       bool // it ends after a statement that saw no row, not after one that deleted none
	looks         bool // a login looks for marks
	writesFirst   bool // after the commit of its row
	ageAtAnswer   bool // the age is taken after the reply
	fromRequest   bool // a login begins with its request, not with its row
	ownByID       bool // only marks of the same request are ignored
	ownLeftOut    bool
	standby       bool // the reply of a standby counts
	temporaryLook bool // a restore looks before the session has its own id
	again         bool // a transaction's revoke marks and deletes once more
}

func properHabits() habits {
	return habits{
		refused: Login.Refused, marks: true, marksFirst: true, inserts: true, sawNone: true,
		looks: true, writesFirst: true,
		ageAtAnswer: true, fromRequest: true, ownByID: true, ownLeftOut: true, temporaryLook: true,
		again: true,
	}
}

const lastTick = 2

func tickTime(at int8) time.Time { return time.UnixMicro(int64(at)) }

// next calls visit with every possible next state.
func (u users) next(h habits, visit func(users, string, error)) {
	do := func(what string, change func(*users)) {
		n := u
		change(&n)
		n.forget()
		visit(n, what, n.holds())
	}
	if u.at < lastTick {
		do("time passes", func(n *users) { n.at++ })
	}
	u.nextRevoke(h, do)
	u.nextOwn(h, do)
	u.nextLogin(h, do, visit)
	u.nextRestore(h, do)
	if !u.rotated && u.rows&thiefRow != 0 {
		do("the thief's session gets a new id",
			func(n *users) { n.rotated, n.rows = true, n.rows&^thiefRow|thiefNext })
	}
}

// forget clears what can't matter any more.
func (u *users) forget() {
	if u.login == loginOut || u.login == loginRefused {
		u.asked, u.now, u.saw = 0, 0, [3]bool{}
	}
	if u.login == loginRefused {
		u.began = 0
	}
}

// holds checks what must be true after the revoke has returned.
func (u *users) holds() error {
	if u.revoke.step != returned {
		return nil
	}
	switch {
	case u.rows&(thiefRow|thiefNext) != 0:
		return violated("a session with a new id outlives the revoke of its user")
	case u.rows&madeRow != 0:
		return violated("a session of an emergency outlives the revoke of its user")
	case u.login == loginOut && u.began < u.revoke.since && u.rows&loginRow != 0:
		return violated("a login with the old password outlives the revoke of its user")
	}
	return nil
}

func (u *users) mark(h habits, n int, at int8, own, visible bool) {
	if !h.marks {
		return
	}
	if !h.inserts {
		n = 0
	}
	u.marks[n] = userMark{there: true, visible: visible, at: at, own: own}
}

func (u users) nextRevoke(h habits, do func(string, func(*users))) {
	r := &u.revoke
	switch r.step {
	case revokeIdle:
		do("revoke", func(n *users) {
			n.revoke = userRevoke{step: markedNow, since: n.at}
			if h.marksFirst {
				n.mark(h, 0, n.at, false, true)
			}
		})
		do("revoke in a transaction", func(n *users) {
			n.revoke = userRevoke{step: inTransaction}
			n.mark(h, 0, n.at, false, false)
			n.revoke.seen = n.rows // deletes them; others see that at the commit
		})
	case inTransaction:
		do("the transaction commits", func(n *users) {
			n.rows &^= n.revoke.seen
			for i := range n.marks {
				n.marks[i].visible = n.marks[i].there
			}
			n.revoke = userRevoke{step: committedOnce, since: n.at}
		})
	case committedOnce:
		if !h.again {
			do("nothing more", func(n *users) { n.revoke.step = returned })
			return
		}
		do("the second pass", func(n *users) {
			n.revoke.step = markedNow
			n.mark(h, 2, n.at, false, true)
		})
	case markedNow:
		do("the revoke looks at the rows",
			func(n *users) { n.revoke.seen, n.revoke.step = n.rows, snapshotTaken })
	case snapshotTaken:
		do("the revoke deletes", func(n *users) {
			deleted := n.rows & n.revoke.seen
			n.rows &^= deleted
			n.revoke.step = markedNow
			if h.sawNone && n.revoke.seen == 0 || !h.sawNone && deleted == 0 {
				n.revoke.step = returned
				if !h.marksFirst {
					n.mark(h, 0, n.at, false, true)
				}
			}
			n.revoke.seen = 0
		})
	}
}

// nextOwn is the revoke by the request of the login.
func (u users) nextOwn(h habits, do func(string, func(*users))) {
	if u.login != loginBegun || u.own.step == returned {
		return
	}
	do("the login's request revokes", func(n *users) {
		n.rows = 0
		n.mark(h, 1, n.at, true, true)
		n.own.step = returned
	})
}

// refuses decides by the marks that a look saw.
func (u *users) refuses(h habits, l Login, own bool) bool {
	for i, m := range u.marks {
		if !u.saw[i] || h.ownLeftOut && own && (m.own || !h.ownByID && u.own.step == returned) {
			continue
		}
		if h.refused(l, tickTime(m.at), tickTime(u.now)) {
			return true
		}
	}
	return false
}

func (u *users) look() {
	u.now = u.at
	for i, m := range u.marks {
		u.saw[i] = m.visible
	}
}

func (u users) nextLogin(
	h habits, do func(string, func(*users)), visit func(users, string, error),
) {
	write := func(n *users) {
		n.rows |= loginRow
		n.login = loginWritten
	}
	switch u.login {
	case notBegun:
		do("a login begins", func(n *users) { n.login, n.began = loginBegun, n.at })
	case loginBegun:
		if h.writesFirst || !h.looks {
			do("the login commits its row", write)
		} else {
			do("the login looks, before it writes",
				func(n *users) { n.asked = n.at; n.look(); n.login = lookSent })
		}
	case loginWritten:
		if !h.looks {
			do("the login is in", func(n *users) { n.login = loginOut })
			return
		}
		do("the login asks", func(n *users) { n.asked, n.login = n.at, lookSent })
	case lookSent:
		do("the look is answered", func(n *users) {
			if h.writesFirst {
				n.look()
			}
			n.login = lookAnswered
		})
		if h.standby {
			do("a standby answers the look",
				func(n *users) { n.now, n.saw, n.login = n.at, [3]bool{}, lookAnswered })
		} else {
			do("a standby answers, which is no answer", func(n *users) { n.login = loginRefused })
		}
	case lookAnswered:
		n := u
		answered := n.at
		if !h.ageAtAnswer {
			answered = n.asked
		}
		began := n.began
		if !h.fromRequest {
			began = n.asked
		}
		l := Login{Age: time.Duration(answered-began) * time.Microsecond}
		var err error
		if n.refuses(h, l, true) {
			if n.rows, n.login = n.rows&^loginRow, loginRefused; n.revoke.step == revokeIdle {
				err = violated("a request's own revoke refuses its login")
			}
		} else if n.login = loginOut; !h.writesFirst {
			n.rows |= loginRow
		}
		n.forget()
		if err == nil {
			err = n.holds()
		}
		visit(n, "the login decides", err)
	}
}

// nextRestore restores a session of another instance's emergency, whose login
// was at the beginning.
func (u users) nextRestore(h habits, do func(string, func(*users))) {
	look := func(n *users) {
		was := n.saw
		n.look()
		n.found = n.refuses(h, Login{Stored: true, At: tickTime(-1)}, false)
		n.saw = was
	}
	rotate := func(n *users) {
		if n.rows&temporaryRow != 0 {
			n.rows = n.rows&^temporaryRow | madeRow
		}
	}
	switch u.restore {
	case inMemory:
		do("a restore creates the session under another id",
			func(n *users) { n.rows |= temporaryRow; n.restore = temporary })
	case temporary:
		if h.temporaryLook {
			do("the restore looks", func(n *users) { look(n); n.restore = lookedUp })
		} else {
			do("the restore gives it its own id",
				func(n *users) { rotate(n); n.restore = lookedUp })
		}
	case lookedUp:
		if !h.temporaryLook {
			do("the restore looks", func(n *users) {
				if look(n); n.found {
					n.rows &^= madeRow
				}
				n.restore = restored
			})
			return
		}
		if u.found {
			do("the restore drops the session",
				func(n *users) { n.rows &^= temporaryRow; n.restore = dropped })
			return
		}
		do("the restore gives it its own id", func(n *users) { rotate(n); n.restore = restored })
	}
}

// walk visits every state that is reachable from first.
func walk[S comparable](first S, next func(S, func(S, string, error))) found {
	type step struct {
		from S
		what string
	}
	known := map[S]step{first: {}}
	level := []S{first}
	f := found{states: 1}
	for ; len(level) > 0 && f.err == nil; f.depth++ {
		var following []S
		for _, s := range level {
			next(s, func(n S, what string, err error) {
				f.steps++
				if err != nil && f.err == nil {
					path := what
					for at := s; at != first; at = known[at].from {
						path = known[at].what + "; " + path
					}
					f.err = fmt.Errorf("%w, after: %s", err, path)
				}
				if _, ok := known[n]; !ok {
					known[n] = step{s, what}
					f.states++
					following = append(following, n)
				}
			})
		}
		level = following
	}
	return f
}

func searchUsers(h habits) found {
	first := users{rows: thiefRow}
	return walk(first, func(u users, visit func(users, string, error)) { u.next(h, visit) })
}

// TestUsers visits every order of revokes, logins, rotations and restores.
func TestUsers(t *testing.T) { searchUsers(properHabits()).report(t) }

func TestUsersMutants(t *testing.T) {
	for name, mutate := range map[string]func(h *habits){
		"a revoke leaves no mark":                  func(h *habits) { h.marks = false },
		"a revoke deletes, and then marks":         func(h *habits) { h.marksFirst = false },
		"a revoke ends when it deleted none":       func(h *habits) { h.sawNone = false },
		"a mark is updated":                        func(h *habits) { h.inserts = false },
		"a login does not look":                    func(h *habits) { h.looks = false },
		"a login looks, and then writes":           func(h *habits) { h.writesFirst = false },
		"the age of a login is taken when it asks": func(h *habits) { h.ageAtAnswer = false },
		"a login begins with its row":              func(h *habits) { h.fromRequest = false },
		"a request's own revoke hides another's":   func(h *habits) { h.ownByID = false },
		"a request's own revoke refuses its login": func(h *habits) { h.ownLeftOut = false },
		"a standby's answer counts":                func(h *habits) { h.standby = true },
		"a restore looks when the token is out":    func(h *habits) { h.temporaryLook = false },
		"a transaction's revoke is not repeated":   func(h *habits) { h.again = false },
		"only a mark of after the answer refuses": func(h *habits) {
			h.refused = func(_ Login, mark, now time.Time) bool { return mark.After(now) }
		},
		"a time of Postgres is taken for an age": func(h *habits) {
			h.refused = func(l Login, mark, now time.Time) bool {
				l.Stored = false
				return l.Refused(mark, now)
			}
		},
	} {
		h := properHabits()
		mutate(&h)
		if f := searchUsers(h); f.err != nil {
			t.Logf("caught      %s: by the search after %d states: %v", name, f.states, f.err)
		} else {
			t.Errorf("NOT CAUGHT  %s, after %d states", name, f.states)
		}
	}
}
