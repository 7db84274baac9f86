package scsstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestTenTabsThatSetTenKeysKeepTen(t *testing.T) {
	s := newSite(t, Options{})
	token := s.put("", "begun", true)
	var loaded, done sync.WaitGroup
	loaded.Add(10)
	for i := range 10 {
		done.Go(func() {
			_, err := s.serve(token, func(v *visit) bool {
				loaded.Done()
				loaded.Wait() // each has loaded before one saves
				v.values[fmt.Sprint("tab", i)] = i
				return true
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if got := s.values(token); len(got) != 11 {
		t.Errorf("%d values, want 11: %v", len(got), got)
	}
}

func TestARequestSlowerThanTheLogoutRevivesNothing(t *testing.T) {
	slow := map[string]func(*visit) bool{
		"that sets a value": func(v *visit) bool {
			v.values["late"] = true
			return true
		},
		"that changes nothing": func(*visit) bool { return true },
		"that renews its token": func(v *visit) bool {
			if err := v.renew(); err != nil {
				t.Error(err)
			}
			delete(v.values, "user")
			return true
		},
	}
	for name, handle := range slow {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, Options{UserKey: "user"})
			token := s.put("", "user", "ada")
			after, err := s.serve(token, func(v *visit) bool {
				if err := s.Delete(token); err != nil { // another tab logs out
					t.Error(err)
				}
				return handle(v)
			})
			if err != nil {
				t.Error(err)
			}
			if got := s.values(token); got != nil {
				t.Errorf("the session is back with %v", got)
			}
			if got := s.values(after); got != nil {
				t.Errorf("the session is back under a new token with %v", got)
			}
		})
	}
}

// Whoever ended the session of eve decides: her request must not become one of
// ada by a change of user that asks for no password.
func TestALoginInAnEndedSessionOfAUserIsRefused(t *testing.T) {
	revoke := func(s *site, ctx context.Context, user string) {
		if _, err := s.RevokeUser(ctx, user); err != nil {
			s.t.Error(err)
		}
	}
	for how, end := range map[string]func(*site, *visit){
		"a logout": func(s *site, v *visit) {
			if err := s.Delete(v.token); err != nil {
				s.t.Error(err)
			}
		},
		"a revoke": func(s *site, _ *visit) { revoke(s, context.Background(), "eve") },
		"a revoke, and one of another user by the request": func(s *site, v *visit) {
			revoke(s, context.Background(), "eve")
			revoke(s, v.ctx, "bob")
		},
		"a revoke, and one more by the request": func(s *site, v *visit) {
			revoke(s, context.Background(), "eve")
			revoke(s, v.ctx, "eve")
		},
	} {
		t.Run(how, func(t *testing.T) {
			for _, user := range []string{"eve", "ada"} {
				// A revoke may refuse a login that begins at its moment.
				loginAfter(newSite(t, Options{UserKey: "user"}), end, user, true)
				loginAfter(newSite(t, Options{UserKey: "user"}), end, user, false)
			}
		})
	}
}

// loginAfter serves a request of eve whose session ends, and which then goes on
// as a user, under a new token or not.
func loginAfter(s *site, end func(*site, *visit), user string, renews bool) {
	s.t.Helper()
	token := s.put("", "user", "eve")
	after, err := s.serve(token, func(v *visit) bool {
		end(s, v)
		if renews {
			if err := v.renew(); err != nil {
				s.t.Error(err)
			}
		}
		v.values["user"] = user
		return true
	})
	login := renews || user != "eve" // else it is a change, and is dropped
	if login != errors.Is(err, store.ErrNotFound) || !login && err != nil {
		s.t.Errorf("as %s, new token %v: %v", user, renews, err)
	}
	if got := s.values(after); got != nil {
		s.t.Errorf("as %s, new token %v: the session is back with %v", user, renews, got)
	}
}

// Of two logins at once the second finds the session of the visitor gone.
func TestALoginWhoseVisitorHasEndedIsALogin(t *testing.T) {
	s := newSite(t, Options{UserKey: "user"})
	token := s.put("", "cart", 1)
	after, err := s.serve(token, func(v *visit) bool {
		if err := s.Delete(token); err != nil {
			t.Error(err)
		}
		if err := v.renew(); err != nil {
			t.Error(err)
		}
		v.values["user"] = "ada"
		return true
	})
	if got := s.values(after); err != nil || got["user"] != "ada" {
		t.Errorf("%v, %v: the login is lost", got, err)
	}
}

// Without Wrap the store asks the table why the session is gone.
func TestWithoutARequestALogoutHoldsToo(t *testing.T) {
	s := newSite(t, Options{})
	v := s.load(t.Context(), "")
	if err := v.commit(); err != nil {
		t.Fatal(err)
	}
	v = s.load(t.Context(), v.token)
	if err := s.Delete(v.token); err != nil {
		t.Fatal(err)
	}
	v.values["late"] = true
	if err := v.commit(); err != nil {
		t.Error(err)
	}
	if got := s.values(v.token); got != nil {
		t.Errorf("the session is back with %v", got)
	}
}

func TestARequestThatChangesNothingWritesNothing(t *testing.T) {
	s := newSite(t, Options{})
	cart := map[string]int{} // gob writes it in any order
	for i := range 30 {
		cart[fmt.Sprint(i)] = i
	}
	token := s.put("", "cart", cart)
	_, err := s.serve(token, func(*visit) bool { return true })
	if err != nil || s.memory.writes.Load()+s.memory.touches.Load() > 0 {
		t.Errorf("%d writes, %d touches, %v", s.memory.writes.Load(), s.memory.touches.Load(), err)
	}
}

func TestValuesThatAreRemovedAreGone(t *testing.T) {
	s := newSite(t, Options{})
	token := s.put(s.put("", "a", 1), "b", 2)
	_, err := s.serve(token, func(v *visit) bool {
		delete(v.values, "a")
		if err := v.commit(); err != nil {
			t.Error(err)
		}
		v.values["c"] = 3 // a second commit has the first one as its base
		return true
	})
	if got := s.values(token); err != nil || !maps.Equal(got, map[string]any{"b": 2, "c": 3}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTheSessionsOfAUser(t *testing.T) {
	s := newSite(t, Options{UserKey: "user"})
	list := func(user string) int {
		t.Helper()
		recs, err := s.memory.List(t.Context(), user, store.Page{})
		if err != nil {
			t.Fatal(err)
		}
		return len(recs)
	}
	first, second := s.put("", "user", "ada"), s.put(s.put("", "cart", 1), "user", "ada")
	if n := list("ada"); n != 2 {
		t.Errorf("ada has %d sessions, want 2", n)
	}
	second = s.put(second, "user", int64(7)) // another user in the same session
	if list("ada") != 1 || list("7") != 1 {
		t.Error("a session stayed with its old user")
	}
	if got := s.values(second); got["cart"] != 1 {
		t.Errorf("%v: scs keeps the values of the user before", got)
	}
	if _, err := s.RevokeUser(t.Context(), "ada"); err != nil {
		t.Error(err)
	}
	if s.values(first) != nil || s.values(second) == nil {
		t.Error("a revoke ended the wrong sessions")
	}
}

func TestAValueThatIsNoUserID(t *testing.T) {
	s := newSite(t, Options{UserKey: "user"})
	for _, v := range []any{[]byte("secret"), 1.5, true, "nul\x00"} {
		_, err := s.serve("", func(visit *visit) bool {
			visit.values["user"] = v
			return true
		})
		if err == nil {
			t.Errorf("a %T became a user", v)
		}
	}
	for _, v := range []any{"", 0, nil} {
		if token := s.put("", "user", v); s.values(token) == nil {
			t.Errorf("%v is a visitor", v)
		}
	}
}

func TestARevokeDuringALoginRefusesIt(t *testing.T) {
	s := newSite(t, Options{UserKey: "user"})
	login := func(revoke func(*visit)) (string, error) {
		return s.serve("", func(v *visit) bool {
			revoke(v)
			if err := v.renew(); err != nil {
				t.Error(err)
			}
			v.values["user"] = "ada"
			return true
		})
	}
	_, err := login(func(*visit) {
		if _, err := s.RevokeUser(context.Background(), "ada"); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, store.ErrRevoked) {
		t.Errorf("%v, want ErrRevoked", err)
	}
	token, err := login(func(v *visit) { // such as a change of the password
		if _, err := s.RevokeUser(v.ctx, "ada"); err != nil {
			t.Error(err)
		}
	})
	if err != nil || s.values(token) == nil {
		t.Errorf("%v: its own revoke refused a login", err)
	}
}

// The handler changes the password: all sessions end, and its own gets a new
// token.
func TestARevokeOfTheOwnUserAndANewToken(t *testing.T) {
	s := newSite(t, Options{UserKey: "user"})
	token := s.put("", "user", "ada")
	after, err := s.serve(token, func(v *visit) bool {
		if _, err := s.RevokeUser(v.ctx, "ada"); err != nil {
			t.Error(err)
		}
		if err := v.renew(); err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil || s.values(token) != nil || s.values(after)["user"] != "ada" {
		t.Errorf("%v: the old session is there, or the new one is not", err)
	}
}

func TestTheDeadlineOfSCS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Options{})
		s.lifetime = time.Hour
		token := s.put("", "a", 1)
		move := func(by time.Duration) {
			t.Helper()
			_, err := s.serve(token, func(v *visit) bool {
				v.deadline = time.Now().Add(by)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(59 * time.Minute)
		if s.values(token) == nil {
			t.Fatal("it ended early")
		}
		move(2 * time.Hour)
		time.Sleep(119 * time.Minute)
		if s.values(token) == nil {
			t.Fatal("SetDeadline did not prolong it")
		}
		move(time.Second)
		time.Sleep(2 * time.Second)
		if s.values(token) != nil {
			t.Fatal("SetDeadline did not shorten it")
		}
		if token = s.put("", "a", 1); s.values(token) == nil {
			t.Fatal("no session")
		}
		if move(-time.Hour); s.values(token) != nil {
			t.Error("a deadline that has passed ends no session")
		}
	})
}

// slow is a store whose loads take two hours.
type slow struct{ store.Store }

func (s slow) Load(ctx context.Context, id store.ID, version int64) (store.Record, error) {
	time.Sleep(2 * time.Hour)
	return s.Store.Load(ctx, id, version)
}

// A lifetime of 0 would be that of the Config.
func TestACommitSlowerThanItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t, Options{})
		token, end := newToken(), time.Now().Add(time.Hour)
		data, err := site.Codec().Encode(end, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := New(slow{site.memory}, Options{}).Commit(token, data, end); err != nil {
			t.Fatal(err)
		}
		_, err = site.memory.Load(t.Context(), idOf(token), 0)
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v: a session that had ended lives", err)
		}
	})
}

func TestTheIdleTimeoutOfSCS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Options{})
		s.lifetime, s.idle = 10*time.Hour, 20*time.Minute
		token := s.put("", "a", 1)
		const used = 120 // a request each ten seconds
		for range used {
			time.Sleep(10 * time.Second)
			if s.values(token) == nil {
				t.Fatal("it ended although it was used")
			}
		}
		if s.memory.writes.Load() > used/6 {
			t.Errorf("%d requests wrote %d times, and a minute has one", used,
				s.memory.writes.Load())
		}
		time.Sleep(20*time.Minute - time.Second)
		if s.values(token) == nil {
			t.Error("it ended early")
		}
		time.Sleep(21*time.Minute + time.Second)
		if s.values(token) != nil {
			t.Error("it ended more than a step late")
		}
	})
}

// scs has no idle timeout here, and saves nothing in a request that only
// reads.
func TestARequestThatReadsKeepsTheSessionAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, Options{})
		s.lifetime = 20 * 24 * time.Hour
		token := s.put("", "a", 1)
		for range 19 {
			time.Sleep(24 * time.Hour)
			if s.values(token) == nil {
				t.Fatal("it ended although it was used")
			}
		}
		if s.memory.touches.Load() > 19 {
			t.Errorf("%d touches", s.memory.touches.Load())
		}
	})
}

func TestASessionOfTheManagerIsNone(t *testing.T) {
	s := newSite(t, Options{})
	token := newToken()
	d := store.Draft{ID: idOf(token), UserID: "ada", Data: []byte(`{"a":1}`)}
	if _, err := s.memory.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.FindCtx(t.Context(), token); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
}

func TestTheNameOfASessionIsNoToken(t *testing.T) {
	s := newSite(t, Options{})
	token := s.put("", "a", 1)
	name := nameOf(idOf(token))
	if _, found, err := s.Find(name); found || err != nil {
		t.Errorf("%v, %v: a name loads", found, err)
	}
	data, err := s.Codec().Encode(time.Now().Add(time.Hour), map[string]any{"a": 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(name, data, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if got := s.values(token); got["a"] != 2 {
		t.Errorf("%v: a commit in an Iterate is lost", got)
	}
	if err := s.Delete(name); err != nil || s.values(token) != nil {
		t.Errorf("%v: Destroy in an Iterate ends nothing", err)
	}
	if err := s.Commit(name, data, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if s.values(token) != nil {
		t.Error("a commit under a name made a session")
	}
}

func TestTheReadersOfTheTableNeedAPool(t *testing.T) {
	s := newSite(t, Options{TakeOver: &TakeOver{Until: time.Now().Add(time.Hour)}})
	if _, err := s.All(); !errors.Is(err, errNoPool) {
		t.Error(err)
	}
	if _, err := s.Import(t.Context(), Table{}, ImportOptions{}); !errors.Is(err, errNoPool) {
		t.Error(err)
	}
	if _, _, err := s.Find(newToken()); !errors.Is(err, errNoPool) {
		t.Error(err)
	}
}
