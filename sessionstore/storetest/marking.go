package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// logins log a user in by each method that can. Each returns the id of the new
// session and the id of the session before the login, if there was one.
var logins = map[string]func(
	h *harness, userID string, b store.Began,
) (id, before store.ID, err error){
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
	"Create with MaxSessions": func(
		h *harness, userID string, b store.Began,
	) (id, before store.ID, err error) {
		id = h.newID()
		_, err = h.peer.Create(h.ctx,
			store.Draft{ID: id, UserID: userID, Began: b, MaxSessions: 100})
		return id, before, err
	},
	"Rotate with MaxSessions": func(
		h *harness, userID string, b store.Began,
	) (id, before store.ID, err error) {
		id, before = h.newID(), h.create("").ID
		_, err = h.peer.Rotate(h.ctx, before, id,
			store.Change{UserID: userID, Began: b, MaxSessions: 100})
		return id, before, err
	},
}

var marking = []testCase{
	{
		name: "a login that began before a revoke is ErrRevoked",
		why: "an attacker with the old password may have a login under way when it is " +
			"changed. It must leave no session of the user",
		run: func(h *harness) {
			for what, login := range logins {
				for _, sel := range []store.Selection{
					{UserID: "ada"}, {UserID: "ada", Except: h.newID()}, {All: true},
				} {
					began := store.BeganHere(time.Now())
					h.revoke(sel)
					id, _, err := login(h, "ada", began)
					if !errors.Is(err, store.ErrRevoked) {
						h.Errorf("%s after a revoke of %+v: %v, want ErrRevoked", what, sel, err)
					}
					h.notLoggedIn(id)
				}
			}
		},
	},
	{
		name: "a refused login leaves the visitor's session as it was",
		why:  "a visitor keeps the values of the session when a login is refused",
		run: func(h *harness) {
			// the statement itself can find that the mark is later
			began := store.BeganHere(time.Now().Add(-time.Hour))
			h.revoke(store.Selection{UserID: "ada"})
			_, before, err := logins["Rotate"](h, "ada", began)
			if !errors.Is(err, store.ErrRevoked) {
				h.Fatalf("Rotate: %v, want ErrRevoked", err)
			}
			h.equal("user of the visitor's session", h.load(before).UserID, "")
		},
	},
	{
		name: "a login that began after a revoke succeeds",
		why:  "a user who has changed the password logs in with the new one",
		run: func(h *harness) {
			h.revoke(store.Selection{UserID: "ada"})
			h.revoke(store.Selection{All: true})
			for what, login := range logins {
				h.loginSucceeds(what, func(b store.Began) (store.ID, error) {
					id, _, err := login(h, "ada", b)
					return id, err
				})
			}
			h.equal("user of a session without a Began", h.create("ada").UserID, "ada")
		},
	},
	{
		name: "a revoke mark concerns its user only",
		why:  "a revoke of one user refuses no login of another user and no visitor",
		run: func(h *harness) {
			began := store.BeganHere(time.Now())
			for _, other := range []string{"", "ad", "adaa", "all", "user"} {
				h.revoke(store.Selection{UserID: "ada"})
				h.revoke(store.Selection{UserID: "x" + other})
				if _, err := h.peer.Create(
					h.ctx, store.Draft{ID: h.newID(), UserID: other, Began: began},
				); err != nil {
					h.Errorf("Create for user %q after a revoke of another user: %v", other, err)
				}
			}
			visitor := h.create("").ID
			h.save(visitor, set("k", 1))
			h.revoke(store.Selection{UserID: "ada"})
			if _, err := h.peer.Rotate(h.ctx, visitor, h.newID(), store.Change{}); err != nil {
				h.Errorf("Rotate without a user: %v", err)
			}
		},
	},
	{
		name: "only marks of other requests refuse a login",
		why: "a password change is RevokeOthers and then Login in one request. The " +
			"revoke of another request still refuses it",
		run: func(h *harness) {
			for what, login := range logins {
				own, other, userID := store.MarkID{1}, store.MarkID{2}, "ada by "+what
				copy(own[1:], h.newID().Handle())
				copy(other[1:], h.newID().Handle())
				at := time.Now()
				h.revoke(store.Selection{UserID: userID, Except: h.newID(), Mark: own})
				began := store.BeganHere(at, own)
				if id, _, err := login(h, userID, began); err != nil {
					h.Errorf("%s after a revoke of its own request: %v", what, err)
				} else {
					h.equal("user", h.load(id).UserID, userID)
				}
				h.revoke(store.Selection{UserID: userID, Mark: other})
				if id, _, err := login(h, userID, began); !errors.Is(err, store.ErrRevoked) {
					h.Errorf("%s after a revoke of another request: %v, want ErrRevoked", what, err)
				} else {
					h.notLoggedIn(id)
				}
			}
		},
	},
	{
		name: "a Revoke by handle or by Keep and a Delete leave no mark",
		why: "only a revoke of a user, of a tag or of all users leaves a mark. With " +
			"more marks two logins under one limit would refuse each other",
		run: func(h *harness) {
			began := store.BeganHere(time.Now())
			one, two := h.create("ada"), h.create("ada")
			h.create("ada")
			h.revoke(store.Selection{UserID: "ada", Handle: one.ID.Handle()})
			h.revoke(store.Selection{UserID: "ada", Keep: 1})
			h.revoke(store.Selection{})
			h.delete(two.ID)
			for what, login := range logins {
				if _, _, err := login(h, "ada", began); err != nil {
					h.Errorf("%s after the revokes and the logout: %v", what, err)
				}
			}
		},
	},
	{
		name: "a login's time from the store is compared with the mark's time",
		why: "BeganAt carries a time of the store's clock. Its zero is earlier than " +
			"every mark",
		run: func(h *harness) {
			before := h.create("ada").AuthenticatedAt
			h.revoke(store.Selection{UserID: "ada"})
			after := h.create("ada").AuthenticatedAt
			h.create("eve")
			for what, c := range map[string]struct {
				at      time.Time
				userID  string
				refused bool
			}{
				"a login before the revoke":  {before, "ada", true},
				"a login after the revoke":   {after, "ada", false},
				"an unknown time":            {time.Time{}, "ada", true},
				"an unknown time, no revoke": {time.Time{}, "eve", false},
			} {
				id := h.newID()
				_, err := h.peer.Create(h.ctx,
					store.Draft{ID: id, UserID: c.userID, Began: store.BeganAt(c.at)})
				if refused := errors.Is(err, store.ErrRevoked); refused != c.refused ||
					err != nil && !refused {
					h.Errorf("Create with %s: %v, want ErrRevoked: %v", what, err, c.refused)
				}
				if c.refused {
					h.notLoggedIn(id)
				}
			}
		},
	},
	{
		name: "a Create with an Age began that long ago",
		why: "a session of one instance's emergency must not outlive a revoke on " +
			"another instance",
		run: func(h *harness) {
			h.revoke(store.Selection{UserID: "ada"})
			id := h.newID()
			if _, err := h.peer.Create(
				h.ctx, store.Draft{ID: id, UserID: "ada", Age: time.Hour},
			); !errors.Is(err, store.ErrRevoked) {
				h.Errorf("Create with an age: %v, want ErrRevoked", err)
			}
			h.notLoggedIn(id)
			if _, err := h.peer.Create(
				h.ctx, store.Draft{ID: h.newID(), Age: time.Hour},
			); err != nil {
				h.Errorf("Create of a visitor's session with an age: %v", err)
			}
		},
	},
	{
		name: "a Save with a Began looks for marks again",
		why: "after a lost reply a Save finds the session of a login, which may have " +
			"been revoked since",
		run: func(h *harness) {
			at := time.Now()
			id := h.create("ada").ID
			if _, err := h.store.Save(
				h.ctx, id, store.Change{Began: store.BeganHere(at)},
			); err != nil {
				h.Errorf("Save before the revoke: %v", err)
			}
			visitor := h.create("").ID
			h.revoke(store.Selection{UserID: "ada", Except: id})
			if _, err := h.store.Save(
				h.ctx, id, store.Change{Began: store.BeganHere(at)},
			); !errors.Is(err, store.ErrRevoked) {
				h.Errorf("Save after the revoke: %v, want ErrRevoked", err)
			}
			h.ended(id)
			if _, err := h.store.Save(
				h.ctx, visitor, store.Change{Began: store.BeganHere(at)},
			); err != nil {
				h.Errorf("Save of a visitor's session: %v", err)
			}
		},
	},
	{
		name: "no login that began before a revoke outlives it, however they race",
		why: "a login writes its session and then looks for marks. So the revoke finds " +
			"the session or the login finds the mark",
		run: func(h *harness) {
			const callers = 6
			for range 5 {
				type login struct {
					at time.Time
					id store.ID
				}
				var mu sync.Mutex
				var succeeded []login
				var done atomic.Bool
				var wg, started sync.WaitGroup
				started.Add(callers)
				for i := range callers {
					s := h.store
					if i%2 == 0 {
						s = h.peer
					}
					wg.Go(func() {
						for n := 0; !done.Load(); n++ {
							l := login{time.Now(), h.newID()}
							_, err := s.Create(h.ctx,
								store.Draft{ID: l.id, UserID: "ada", Began: store.BeganHere(l.at)})
							if n == 0 {
								started.Done()
							}
							if err == nil {
								mu.Lock()
								succeeded = append(succeeded, l)
								mu.Unlock()
							} else if !errors.Is(err, store.ErrRevoked) {
								h.Errorf("Create: %v", err)
								return
							}
						}
					})
				}
				started.Wait()
				called := time.Now()
				h.revoke(store.Selection{UserID: "ada"})
				done.Store(true)
				wg.Wait()
				for _, l := range succeeded {
					if l.at.Before(called) {
						if _, err := h.store.Save(
							h.ctx, l.id, set("k", 1),
						); !errors.Is(err, store.ErrNotFound) {
							h.Fatalf("Save of a login before the revoke: %v, want ErrNotFound",
								err)
						}
					}
				}
			}
		},
	},
}

// revoke revokes a selection.
func (h *harness) revoke(sel store.Selection) {
	h.Helper()
	if _, _, err := h.store.Revoke(h.ctx, sel); err != nil {
		h.Fatalf("Revoke: %v", err)
	}
}

// loginSucceeds repeats a login that begins now until the store accepts it. A
// store may refuse a login that begins in the same moment as the revoke.
func (h *harness) loginSucceeds(what string, login func(store.Began) (store.ID, error)) {
	h.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		id, err := login(store.BeganHere(time.Now()))
		switch {
		case err == nil:
			h.equal("user after a login by "+what, h.load(id).UserID, "ada")
			return
		case !errors.Is(err, store.ErrRevoked) || time.Now().After(deadline):
			h.Errorf("%s of a login after the revoke: %v", what, err)
			return
		}
	}
}

// notLoggedIn checks that the session has ended or has no user.
func (h *harness) notLoggedIn(id store.ID) {
	h.Helper()
	rec, err := h.store.Load(h.ctx, id, 0)
	if err == nil && rec.UserID != "" || err != nil && !errors.Is(err, store.ErrNotFound) {
		h.Errorf("Load after a refused login: user %q, error %v, want no user", rec.UserID, err)
	}
}
