package sessionstore_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
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

// jar is a browser that keeps all cookies.
type jar struct {
	t       *testing.T
	site    *site
	cookies map[string]string
}

func (b *jar) copied() *jar { return &jar{b.t, b.site, maps.Clone(b.cookies)} }

// get requests a page and returns the status and the names of the cookies in
// the answer.
func (b *jar) get(p page) (status int, set string) {
	b.t.Helper()
	return b.through(func(h http.Handler) http.Handler { return h }, p)
}

// through is get with a handler in front of the site.
func (b *jar) through(front func(http.Handler) http.Handler, p page) (status int, set string) {
	b.t.Helper()
	return b.ask(front(b.site.m.Handler(asking(p))))
}

// ask requests a page of a handler.
func (b *jar) ask(h http.Handler) (status int, set string) {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			set += "-"
		}
		set += c.Name + " "
	}
	return w.Code, set
}

// asking returns a handler that serves a page, or the error of its session.
func asking(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		p(w, r, s)
	})
}

func (b *jar) who() (user string) {
	b.t.Helper()
	status, _ := b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		if user = s.UserID(); user == "" && s.Has("here") {
			user = "visitor"
		}
	})
	if status != http.StatusOK {
		return http.StatusText(status)
	}
	return user
}

func logIn(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	_ = s.Login(r.Context(), "ann")
}

func renew(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	_ = s.Rotate(r.Context())
}

func logOut(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	_ = s.Logout(r.Context())
}

// doubtful returns a browser whose next Rotate gets no reply. u.down set to
// false makes the store available again. Without a user, the browser is a
// visitor's.
func doubtful(
	t *testing.T, user string, made bool, change ...func(*sessionstore.Config),
) (*jar, *unheard) {
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
	return &jar{t, site, map[string]string{cookieName: cookie}}, u
}
