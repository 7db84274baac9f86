package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// logins are the three ways in which a store lets a user in. Each returns the
// id that the login is to have, and the session that was there before, if any.
var logins = map[string]func(h *harness, userID string, b store.Began) (id, before store.ID, err error){
	"Create": func(h *harness, userID string, b store.Began) (id, before store.ID, err error) {
		id = h.newID()
		_, err = h.peer.Create(h.ctx, store.Draft{ID: id, UserID: userID, Began: b})
		return id, before, err
	},
	"Rotate": func(h *harness, userID string, b store.Began) (id, before store.ID, err error) {
		id, before = h.newID(), h.create("").ID
		_, err = h.peer.Rotate(h.ctx, before, id, store.Change{UserID: userID, Began: b})
		return id, before, err
	},
	"Save": func(h *harness, userID string, b store.Began) (id, before store.ID, err error) {
		id = h.create("").ID
		_, err = h.peer.Save(h.ctx, id, store.Change{UserID: userID, Began: b})
		return id, before, err
	},
	"Create, limited": func(h *harness, userID string, b store.Began) (id, before store.ID, err error) {
		id = h.newID()
		_, err = h.peer.Create(h.ctx, store.Draft{ID: id, UserID: userID, Began: b, MaxSessions: 100})
		return id, before, err
	},
	"Rotate, limited": func(h *harness, userID string, b store.Began) (id, before store.ID, err error) {
		id, before = h.newID(), h.create("").ID
		_, err = h.peer.Rotate(h.ctx, before, id, store.Change{UserID: userID, Began: b, MaxSessions: 100})
		return id, before, err
	},
}

var marking = []testCase{
	{
		name: "a login that began before a revoke is refused, and leaves no session of the user",
		why:  "whoever knows the old password and logs in all the time has a login under way when it is changed",
		run: func(h *harness) {
			for what, login := range logins {
				for _, sel := range []store.Selection{{UserID: "ada"}, {UserID: "ada", Except: h.newID()}, {All: true}} {
					began := store.BeganHere(time.Now())
					h.mark(sel)
					id, _, err := login(h, "ada", began)
					if !errors.Is(err, store.ErrRevoked) {
						h.Errorf("%s after a revoke of %+v: %v, want ErrRevoked", what, sel, err)
					}
					h.noLogin(id)
				}
			}
		},
	},
	{
		name: "a refused login leaves the session that it came from alone",
		why:  "values of a visitor are not lost for a login that never was",
		run: func(h *harness) {
			began := store.BeganHere(time.Now().Add(-time.Hour)) // long enough for the statement to know
			h.mark(store.Selection{UserID: "ada"})
			_, before, err := logins["Rotate"](h, "ada", began)
			if !errors.Is(err, store.ErrRevoked) {
				h.Fatalf("Rotate: %v, want ErrRevoked", err)
			}
			h.equal("user of the session before", h.load(before).UserID, "")
		},
	},
	{
		name: "a login that began after a revoke is let in",
		why:  "the new password must work",
		run: func(h *harness) {
			h.mark(store.Selection{UserID: "ada"})
			h.mark(store.Selection{All: true})
			for what, login := range logins {
				h.letIn(what, func(b store.Began) (store.ID, error) { id, _, err := login(h, "ada", b); return id, err })
			}
			h.equal("user of a session without a Began", h.create("ada").UserID, "ada")
		},
	},
	{
		name: "a mark is about its user",
		why:  "one user's new password is nothing to another, nor to a visitor",
		run: func(h *harness) {
			began := store.BeganHere(time.Now())
			for _, other := range []string{"", "ad", "adaa", "all", "user"} {
				h.mark(store.Selection{UserID: "ada"})
				h.mark(store.Selection{UserID: "x" + other})
				if _, err := h.peer.Create(h.ctx, store.Draft{ID: h.newID(), UserID: other, Began: began}); err != nil {
					h.Errorf("Create for %q: %v", other, err)
				}
			}
			visitor := h.create("").ID
			h.save(visitor, set("k", 1))
			h.mark(store.Selection{UserID: "ada"})
			if _, err := h.peer.Rotate(h.ctx, visitor, h.newID(), store.Change{}); err != nil {
				h.Errorf("Rotate without a user: %v", err)
			}
		},
	},
	{
		name: "the marks of its own request do not refuse a login, and those of others do",
		why:  "RevokeOthers and then Login is how a password is changed; no revoke may hide another's",
		run: func(h *harness) {
			for what, login := range logins {
				own, other, userID := store.MarkID{1}, store.MarkID{2}, "ada by "+what
				copy(own[1:], h.newID().Handle())
				copy(other[1:], h.newID().Handle())
				at := time.Now()
				h.mark(store.Selection{UserID: userID, Except: h.newID(), Mark: own})
				began := store.BeganHere(at, own)
				if id, _, err := login(h, userID, began); err != nil {
					h.Errorf("%s after its own revoke: %v", what, err)
				} else {
					h.equal("user", h.load(id).UserID, userID)
				}
				h.mark(store.Selection{UserID: userID, Mark: other})
				if id, _, err := login(h, userID, began); !errors.Is(err, store.ErrRevoked) {
					h.Errorf("%s after its own revoke and another's: %v, want ErrRevoked", what, err)
				} else {
					h.noLogin(id)
				}
			}
		},
	},
	{
		name: "a handle, a limit and a logout leave no mark",
		why:  "two logins under one limit would refuse each other",
		run: func(h *harness) {
			began := store.BeganHere(time.Now())
			one, two := h.create("ada"), h.create("ada")
			h.create("ada")
			h.mark(store.Selection{UserID: "ada", Handle: one.ID.Handle()})
			h.mark(store.Selection{UserID: "ada", Keep: 1})
			h.mark(store.Selection{})
			h.delete(two.ID)
			for what, login := range logins {
				if _, _, err := login(h, "ada", began); err != nil {
					h.Errorf("%s: %v", what, err)
				}
			}
		},
	},
	{
		name: "a time of the store is compared with the mark's own",
		why:  "a session that comes from elsewhere has no moment of this process; an unknown one is the beginning of time",
		run: func(h *harness) {
			before := h.create("ada").AuthenticatedAt
			h.mark(store.Selection{UserID: "ada"})
			after := h.create("ada").AuthenticatedAt
			h.create("eve")
			for what, c := range map[string]struct {
				at      time.Time
				userID  string
				refused bool
			}{
				"a login before the mark":     {before, "ada", true},
				"a login after the mark":      {after, "ada", false},
				"an unknown one":              {time.Time{}, "ada", true},
				"an unknown one without mark": {time.Time{}, "eve", false},
			} {
				id := h.newID()
				_, err := h.peer.Create(h.ctx, store.Draft{ID: id, UserID: c.userID, Began: store.BeganAt(c.at)})
				if refused := errors.Is(err, store.ErrRevoked); refused != c.refused || err != nil && !refused {
					h.Errorf("%s: %v, want refused: %v", what, err, c.refused)
				}
				if c.refused {
					h.noLogin(id)
				}
			}
		},
	},
	{
		name: "a session that existed elsewhere is as old as its row says",
		why:  "a session made in one instance's emergency must not outlive a revoke of another instance",
		run: func(h *harness) {
			h.mark(store.Selection{UserID: "ada"})
			id := h.newID()
			if _, err := h.peer.Create(h.ctx, store.Draft{ID: id, UserID: "ada", Age: time.Hour}); !errors.Is(err, store.ErrRevoked) {
				h.Errorf("Create with an age: %v, want ErrRevoked", err)
			}
			h.noLogin(id)
			if _, err := h.peer.Create(h.ctx, store.Draft{ID: h.newID(), Age: time.Hour}); err != nil {
				h.Errorf("Create of a visitor's session with an age: %v", err)
			}
		},
	},
	{
		name: "a save with a Began looks again",
		why:  "after a lost answer the session is found by a save, and may have been revoked since",
		run: func(h *harness) {
			at := time.Now()
			id := h.create("ada").ID
			if _, err := h.store.Save(h.ctx, id, store.Change{Began: store.BeganHere(at)}); err != nil {
				h.Errorf("Save without a mark: %v", err)
			}
			visitor := h.create("").ID
			h.mark(store.Selection{UserID: "ada", Except: id})
			if _, err := h.store.Save(h.ctx, id, store.Change{Began: store.BeganHere(at)}); !errors.Is(err, store.ErrRevoked) {
				h.Errorf("Save: %v, want ErrRevoked", err)
			}
			h.dead(id)
			if _, err := h.store.Save(h.ctx, visitor, store.Change{Began: store.BeganHere(at)}); err != nil {
				h.Errorf("Save of a visitor's session: %v", err)
			}
		},
	},
	{
		name: "no login that began before a revoke outlives it",
		why:  "write, then look: either the delete sees the session, or the look sees the mark",
		run: func(h *harness) {
			const crowd = 6
			for range 5 {
				type login struct {
					at time.Time
					id store.ID
				}
				var mu sync.Mutex
				var in []login
				var done atomic.Bool
				var wg, going sync.WaitGroup
				going.Add(crowd)
				for i := range crowd {
					inner := h.store
					if i%2 == 0 {
						inner = h.peer
					}
					wg.Go(func() {
						for n := 0; !done.Load(); n++ {
							l := login{time.Now(), h.newID()}
							_, err := inner.Create(h.ctx, store.Draft{ID: l.id, UserID: "ada", Began: store.BeganHere(l.at)})
							if n == 0 {
								going.Done()
							}
							if err == nil {
								mu.Lock()
								in = append(in, l)
								mu.Unlock()
							} else if !errors.Is(err, store.ErrRevoked) {
								h.Errorf("Create: %v", err)
								return
							}
						}
					})
				}
				going.Wait()
				called := time.Now()
				h.mark(store.Selection{UserID: "ada"})
				done.Store(true)
				wg.Wait()
				for _, l := range in {
					if l.at.Before(called) {
						if _, err := h.store.Save(h.ctx, l.id, set("k", 1)); !errors.Is(err, store.ErrNotFound) {
							h.Fatalf("a login from before the revoke lives: %v", err)
						}
					}
				}
			}
		},
	},
}

// mark revokes a selection.
func (h *harness) mark(sel store.Selection) {
	h.Helper()
	if _, _, err := h.store.Revoke(h.ctx, sel); err != nil {
		h.Fatalf("Revoke: %v", err)
	}
}

// letIn logs in with a Began of now until it is let in: a store may take a
// login of the very next moment for one that began before the revoke.
func (h *harness) letIn(what string, login func(store.Began) (store.ID, error)) {
	h.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		id, err := login(store.BeganHere(time.Now()))
		switch {
		case err == nil:
			h.equal("user after "+what, h.load(id).UserID, "ada")
			return
		case !errors.Is(err, store.ErrRevoked) || time.Now().After(deadline):
			h.Errorf("%s: %v", what, err)
			return
		}
	}
}

// noLogin checks that the session is not alive, or still that of a visitor.
func (h *harness) noLogin(id store.ID) {
	h.Helper()
	rec, err := h.store.Load(h.ctx, id, 0)
	if err == nil && rec.UserID != "" || err != nil && !errors.Is(err, store.ErrNotFound) {
		h.Errorf("a refused login: session of %q, %v", rec.UserID, err)
	}
}
