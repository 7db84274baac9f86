package sessionstore_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// unheard is a store that goes away with the answer to a Rotate, which it has made or not.
type unheard struct {
	sessionstore.Store
	armed, made, away bool
	late              func() error // the Rotate, as it arrives later
}

func (u *unheard) gone() error {
	if u.away {
		return errNobody
	}
	return nil
}

func (u *unheard) Rotate(ctx context.Context, old, id sessionstore.ID, c sessionstore.Change) (rec sessionstore.Record, err error) {
	if !u.armed {
		if err := u.gone(); err != nil {
			return rec, err
		}
		return u.Store.Rotate(ctx, old, id, c)
	}
	u.armed, u.away = false, true
	u.late = func() error { _, err := u.Store.Rotate(context.Background(), old, id, c); return err }
	if u.made {
		if err := u.late(); err != nil {
			return rec, err
		}
	}
	return rec, errLost
}

func (u *unheard) Load(ctx context.Context, id sessionstore.ID, floor int64) (rec sessionstore.Record, err error) {
	if err := u.gone(); err != nil {
		return rec, err
	}
	return u.Store.Load(ctx, id, floor)
}

func (u *unheard) Save(ctx context.Context, id sessionstore.ID, c sessionstore.Change) (rec sessionstore.Record, err error) {
	if err := u.gone(); err != nil {
		return rec, err
	}
	return u.Store.Save(ctx, id, c)
}

// jar is a browser that keeps all cookies.
type jar struct {
	t       *testing.T
	site    *site
	cookies map[string]string
}

// get requests a page, and returns the status and the names of the cookies that the answer sets.
func (b *jar) get(p page) (status int, set string) {
	b.t.Helper()
	return b.through(func(h http.Handler) http.Handler { return h }, p)
}

// through is get with something in front of the site.
func (b *jar) through(front func(http.Handler) http.Handler, p page) (status int, set string) {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	front(b.site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		p(w, r, s)
	}))).ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			set += "-"
		}
		set += c.Name + " "
	}
	return w.Code, set
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

const nextName = cookieName + "-next"

// unanswered is a visitor whose login nobody answered.
func unanswered(t *testing.T, made bool) (*jar, *unheard) {
	t.Helper()
	u := &unheard{Store: sessionstore.NewMemory(weekly, 0)}
	site := newSiteOver(t, &spyStore{Store: u})
	b := &jar{t, site, map[string]string{cookieName: site.newcomer()}}
	had := b.cookies[cookieName]
	u.armed, u.made = true, made
	status, set := b.get(logIn)
	expect(t, "status", status, http.StatusServiceUnavailable)
	expect(t, "cookies set", set, nextName+" ")
	expect(t, "the cookie", b.cookies[cookieName], had)
	expect(t, "in the outage", b.who(), "Service Unavailable")
	u.away = false
	return b, u
}

// Whichever of the two tokens the session has in the end: the browser has it.
func TestALoginThatNobodyAnswered(t *testing.T) {
	t.Run("it was made", func(t *testing.T) {
		b, _ := unanswered(t, true)
		old := &jar{t, b.site, map[string]string{cookieName: b.cookies[cookieName]}}
		expect(t, "who planted the old token", old.who(), "")
		b.site.seen()
		status, set := b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			expect(t, "user", s.UserID(), "ann")
			expect(t, "its values", s.Has("here"), true)
		})
		expect(t, "status", status, http.StatusOK)
		expect(t, "cookies set", set, "-"+nextName+" "+cookieName+" ")
		expect(t, "events", b.site.seen(), "session renewed")
		expect(t, "afterwards", b.who(), "ann")
	})
	t.Run("it was not made", func(t *testing.T) {
		b, u := unanswered(t, false)
		old := &jar{t, b.site, map[string]string{cookieName: b.cookies[cookieName]}}
		expect(t, "afterwards", b.who(), "visitor")
		expect(t, "when it arrives late", u.late(), nil)
		expect(t, "who planted the old token", old.who(), "")
		expect(t, "afterwards", b.who(), "ann")
		expect(t, "cookies", len(b.cookies), 1)
	})
	t.Run("it is made again", func(t *testing.T) {
		b, u := unanswered(t, false)
		_, set := b.get(logIn)
		expect(t, "cookies set", set, "-"+nextName+" "+cookieName+" ")
		expect(t, "logged in", b.who(), "ann")
		if err := u.late(); verdictOf(err) != "not found" {
			t.Errorf("when it arrives late: %v", err)
		}
		expect(t, "afterwards", b.who(), "ann")
	})
}

// A logout ends the session under either token, and also when the change of token arrives after it.
func TestALogoutAfterALoginThatNobodyAnswered(t *testing.T) {
	for _, made := range []bool{true, false} {
		b, u := unanswered(t, made)
		_, _ = b.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) { _ = s.Logout(r.Context()) })
		expect(t, "cookies", len(b.cookies), 0)
		if err := u.late(); verdictOf(err) != "not found" {
			t.Errorf("when it arrives late: %v", err)
		}
		expect(t, "rows", b.site.store.rows(), 0)
	}
	// The browser's cache, or another tab, has the old session still; it moves at that moment.
	b, u := unanswered(t, false)
	_, _ = b.get(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		expect(t, "arrives", u.late(), nil)
		_ = s.Logout(r.Context())
	})
	expect(t, "rows", b.site.store.rows(), 0)
}

// The second cookie says something beside its first cookie only, and is signed like that.
func TestTheSecondCookieIsWorthNothingElsewhere(t *testing.T) {
	b, _ := unanswered(t, true)
	next := b.cookies[nextName]
	gone := b.site.newcomer()
	b.site.revoke(gone)
	altered := []byte(next)
	altered[len(altered)-3] ^= 1
	for name, cookies := range map[string]map[string]string{
		"alone":                      {nextName: next},
		"in place of the first":      {cookieName: next},
		"beside that of another":     {cookieName: gone, nextName: next},
		"altered":                    {cookieName: b.cookies[cookieName], nextName: string(altered)},
		"the first beside the first": {cookieName: b.cookies[cookieName], nextName: b.cookies[cookieName]},
	} {
		other := &jar{t, b.site, cookies}
		expect(t, name, other.who(), "")
	}
	expect(t, "beside its own", b.who(), "ann")
}

// A handler that saves by itself and goes on gets the session under the token that it was to get, with what was changed since.
func TestASaveAfterOneThatNobodyAnswered(t *testing.T) {
	for _, made := range []bool{true, false} {
		u := &unheard{Store: sessionstore.NewMemory(weekly, 0)}
		site := newSiteOver(t, &spyStore{Store: u})
		b := &jar{t, site, map[string]string{cookieName: site.newcomer()}}
		u.armed, u.made = true, made
		status, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
			logIn(w, r, s)
			expect(t, "the first save", verdictOf(s.Save(r.Context())), "unavailable")
			u.away = false
			site.check(s.Set("later", true))
		})
		expect(t, "status", status, http.StatusOK)
		expect(t, "cookies set", set, cookieName+" ")
		_, _ = b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			expect(t, "user", s.UserID(), "ann")
			expect(t, "values", s.Has("here") && s.Has("later"), true)
		})
		expect(t, "rows", site.store.rows(), 1)
	}
}

// The answer alone is lost: it is asked for once more, and the visitor notices nothing.
func TestAnAnswerThatComesAtTheSecondAttempt(t *testing.T) {
	for _, made := range []bool{true, false} {
		u := &unheard{Store: sessionstore.NewMemory(weekly, 0)}
		site := newSiteOver(t, &spyStore{Store: u})
		b := &jar{t, site, map[string]string{cookieName: site.newcomer()}}
		u.armed, u.made = true, made
		site.store.on("Save", func(context.Context) error { u.away = false; return errNobody }) // what asks for it comes too early
		n := 0
		site.store.on("Rotate", func(context.Context) error {
			if n++; n == 2 {
				site.store.on("Save", nil)
			}
			return nil
		})
		status, set := b.get(logIn)
		expect(t, "status", status, http.StatusOK)
		expect(t, "cookies set", set, cookieName+" ")
		expect(t, "logged in", b.who(), "ann")
		expect(t, "rows", site.store.rows(), 1)
	}
}
