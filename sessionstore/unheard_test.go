package sessionstore_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// unheard is a store that becomes unavailable at a Rotate whose reply is lost.
// The Rotate was made or not.
type unheard struct {
	*fault.Store
	down atomic.Bool
	lost *fault.Fault // the Rotate; with Late if it was not made
}

func newUnheard(inner store.Store) *unheard {
	u := &unheard{Store: fault.Wrap(inner)}
	u.Inject(fault.Rule{
		If: func(fault.Call) bool { return u.down.Load() }, Err: errDown,
	}, store.OpRotate, store.OpLoad, store.OpSave)
	return u
}

// arm makes the next Rotate lose its reply.
func (u *unheard) arm(made bool) {
	r := fault.Rule{Nth: 1, When: fault.Late, Do: func(context.Context, *fault.Call) error {
		u.down.Store(true)
		return errLost
	}}
	if made {
		r.When = fault.After
	}
	u.lost = u.Inject(r, store.OpRotate)
}

// doubtful returns a browser whose next Rotate gets no reply. u.down set to
// false makes the store available again. Without a user, the browser is a
// visitor's.
func doubtful(
	t *testing.T, user string, made bool, change ...func(*sessionstore.Config),
) (*browser, *unheard) {
	t.Helper()
	u := newUnheard(newMemory(weekly))
	site := newSiteOver(t, newSpy(u), change...)
	cookie := ""
	if user == "" {
		cookie = site.newcomer()
	} else {
		cookie = site.user(user)
	}
	u.arm(made)
	return site.browser(cookie), u
}
