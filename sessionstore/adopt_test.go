package sessionstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/legacy/express"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

const (
	legacyCookie = "reporadar.sid"
	legacySecret = "keyboard cat"
	adaSID       = "ada-EIuDbiwHSWVYXhbmJR-OFDLBcSRx"
	bobSID       = "bob-EIuDbiwHSWVYXhbmJR-OFDLBcSRx-and-more"
)

var express1 = express.NewCookie(legacyCookie, legacySecret)

// otherLibrary has the sessions of another library, in memory.
type otherLibrary struct {
	mu       sync.Mutex
	sessions map[string]legacy.Session
	calls    []string
	// loading and ending run before and loaded after the call; each may be nil.
	loading, ending, loaded func(sid string) error
}

// ofUsers has a session for each user, whose id is the first three letters of
// the session id.
func ofUsers(sids ...string) *otherLibrary {
	o := &otherLibrary{sessions: map[string]legacy.Session{}}
	for _, sid := range sids {
		o.sessions[sid] = legacy.Session{
			UserID: sid[:3], Data: json.RawMessage(`{"cart":1}`), LoginAge: legacy.UnknownAge,
			Idle: time.Hour,
		}
	}
	return o
}

func (o *otherLibrary) log(call string, hook func(string) error, sid string) error {
	o.mu.Lock()
	o.calls = append(o.calls, call)
	o.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(sid)
}

func (o *otherLibrary) Load(_ context.Context, sid string) (legacy.Session, error) {
	if err := o.log("load", o.loading, sid); err != nil {
		return legacy.Session{}, err
	}
	o.mu.Lock()
	s, ok := o.sessions[sid]
	o.mu.Unlock()
	if o.loaded != nil {
		if err := o.loaded(sid); err != nil {
			return legacy.Session{}, err
		}
	}
	if !ok {
		return legacy.Session{}, store.ErrNotFound
	}
	return s, nil
}

func (o *otherLibrary) End(_ context.Context, sid string) error {
	if err := o.log("end", o.ending, sid); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.sessions, sid)
	return nil
}

// left returns the ids of its sessions.
func (o *otherLibrary) left() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(o.sessions)), " ")
}

// once returns a hook that runs a function in its first call, and in none that
// the function makes.
func once(f func()) func(string) error {
	var done atomic.Bool
	return func(string) error {
		if done.CompareAndSwap(false, true) {
			f()
		}
		return nil
	}
}

// asked returns the calls since its last call.
func (o *otherLibrary) asked() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	calls := strings.Join(o.calls, " ")
	o.calls = nil
	return calls
}

// taking configures a site that takes its sessions over.
func (o *otherLibrary) taking(cfg *sessionstore.Config) {
	cfg.Legacy = sessionstore.LegacyConfig{
		Cookie: express1, Store: o, Until: time.Now().Add(time.Hour),
	}
}

// newcomer returns a browser with the other library's cookie.
func legacyBrowser(s *site, sids ...string) *browser {
	b := s.browser("")
	for _, sid := range sids {
		b.cookies[legacyCookie] = express1.Encode(sid)
	}
	return b
}

// sendLegacy makes a request with cookies of the other library, and returns the
// user, or the status of a failure.
func sendLegacy(s *site, values ...string) string {
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	for _, v := range values {
		r.Header.Add("Cookie", legacyCookie+"="+v)
	}
	user := ""
	resp := send(s.m.Handler(asking(
		func(_ http.ResponseWriter, _ *http.Request, sess *sessionstore.Session) {
			user = sess.UserID()
		})), r)
	if resp.StatusCode != http.StatusOK {
		return http.StatusText(resp.StatusCode)
	}
	return user
}

// revokeUser ends all sessions of a user, in no request.
func (s *site) revokeUser(userID string) {
	s.t.Helper()
	_, err := s.m.RevokeUser(context.Background(), userID)
	s.check(err)
}

func TestAdopted(t *testing.T) {
	for _, sid := range []string{adaSID, bobSID} {
		old := ofUsers(sid)
		site := newSite(t, old.taking)
		b := legacyBrowser(site, sid)
		b.use(func(s *sessionstore.Session) {
			cart := 0
			ok, err := s.Get("cart", &cart)
			if err != nil || !ok || cart != 1 || s.UserID() != sid[:3] {
				t.Errorf("user %q, cart %d, %t, %v", s.UserID(), cart, ok, err)
			}
			rec, _ := s.Record()
			expect(t, "the id of the row", rec.ID, legacy.ID(sid))
			expect(t, "fresh within years", s.Fresh(10*365*24*time.Hour), false)
			expect(t, "logged in", s.Authenticated(0, sessionstore.SinceLogin), true)
			info, _ := s.Info()
			expect(t, "an unknown time of the login", info.AuthenticatedAt.IsZero(), true)
			if s.LoginID() == "" {
				t.Error("the login has no name")
			}
			if d := time.Until(rec.ExpiresAt); d < 50*time.Minute || d > 3*time.Hour {
				t.Errorf("it may be idle for %s, want what the other library said", d)
			}
		})
		e := site.event(sessionstore.EventAdopted)
		expect(t, "user of the event", e.UserID, sid[:3])
		expect(t, "calls", old.asked(), "load end")
		expect(t, "sessions there", old.left(), "")
		expect(t, "health counts it", site.m.Health(t.Context()).Adopted, 1)
		if b.cookies[cookieName] == "" {
			t.Fatal("no cookie of ours")
		}

		// From here on it is an ordinary session.
		site.store.asked()
		site.seen()
		expect(t, "user", b.who(), sid[:3])
		expect(t, "calls here", site.store.asked(), "load")
		expect(t, "calls there", old.asked(), "")
		expect(t, "events", site.seen(), "")

		// The old cookie leads to it until the next login.
		again := legacyBrowser(site, sid)
		expect(t, "user with the old cookie", again.who(), sid[:3])
		b.use(func(s *sessionstore.Session) { site.check(s.Login(t.Context(), sid[:3])) })
		b.use(func(s *sessionstore.Session) {
			expect(t, "fresh after a login", s.Fresh(time.Hour), true)
			expect(t, "the cart is still there", s.Has("cart"), true)
		})
		expect(t, "user with the old cookie", legacyBrowser(site, sid).who(), "")
		expect(t, "rows", site.store.rows(), 1)
	}
}

// The age of the login is that of the other library.
func TestAdoptedLoginAge(t *testing.T) {
	old := ofUsers(adaSID)
	ada := old.sessions[adaSID]
	ada.LoginAge = 30 * time.Minute
	old.sessions[adaSID] = ada
	site := newSite(t, old.taking)
	legacyBrowser(site, adaSID).use(func(s *sessionstore.Session) {
		expect(t, "fresh within 20 minutes", s.Fresh(20*time.Minute), false)
		expect(t, "fresh within an hour", s.Fresh(time.Hour), true)
		info, _ := s.Info()
		age := info.ReadAt.Sub(info.AuthenticatedAt)
		if (age - 30*time.Minute).Abs() > time.Minute {
			t.Errorf("the login is %s old", age)
		}
		left := info.AbsoluteExpiresAt.Sub(info.AuthenticatedAt)
		if (left - 30*24*time.Hour).Abs() > time.Second {
			t.Errorf("the session ends %s after its login, want the absolute timeout", left)
		}
	})
}

// The absolute timeout has passed since the login.
func TestAdoptedAfterAbsoluteTimeout(t *testing.T) {
	old := ofUsers(adaSID)
	ada := old.sessions[adaSID]
	ada.LoginAge = 365 * 24 * time.Hour
	old.sessions[adaSID] = ada
	site := newSite(t, old.taking)
	b := legacyBrowser(site, adaSID)
	b.use(func(s *sessionstore.Session) {
		expect(t, "user", s.UserID(), "")
		expect(t, "why", s.Ended(), sessionstore.EndingExpired)
	})
	expect(t, "events", site.seen(), "session not found")
	expect(t, "rows", site.store.rows(), 0)
	expect(t, "sessions there", old.left(), "")
}

// A cookie was stolen from the other library, before the break-in was stopped.
// Its session was moved since.
func TestRevokeBeforeEndsAdopted(t *testing.T) {
	for what, age := range map[string]time.Duration{
		"an older login": 48 * time.Hour, "an unknown one": legacy.UnknownAge,
	} {
		old := ofUsers(adaSID, bobSID)
		ada, bob := old.sessions[adaSID], old.sessions[bobSID]
		ada.LoginAge, bob.LoginAge = age, time.Minute
		old.sessions[adaSID], old.sessions[bobSID] = ada, bob
		site := newSite(t, old.taking)
		of := map[string]*browser{
			"ada": legacyBrowser(site, adaSID), "bob": legacyBrowser(site, bobSID),
		}
		for user, b := range of {
			expect(t, what+": moved", b.who(), user)
		}
		_, err := site.m.RevokeBefore(t.Context(), time.Now().Add(-time.Hour))
		site.check(err)
		expect(t, what+": the older login", of["ada"].who(), "")
		expect(t, what+": the newer login", of["bob"].who(), "bob")
	}
}

func TestAdoptedVisitor(t *testing.T) {
	old := ofUsers()
	old.sessions[adaSID] = legacy.Session{Data: json.RawMessage(`{"here":true}`)}
	old.sessions[bobSID] = legacy.Session{}
	site := newSite(t, old.taking)
	expect(t, "with a value", legacyBrowser(site, adaSID).who(), "visitor")
	b := legacyBrowser(site, bobSID)
	expect(t, "with nothing", b.who(), "")
	expect(t, "one with nothing stays there", old.left(), bobSID)
	expect(t, "rows", site.store.rows(), 1)
	expect(t, "its cookies", len(b.cookies), 1)
}

func TestAdoptedCookieOutlivesTheBrowser(t *testing.T) {
	for _, persistent := range []bool{false, true} {
		old := ofUsers(adaSID)
		ada := old.sessions[adaSID]
		ada.Persistent = persistent
		old.sessions[adaSID] = ada
		site := newSite(t, old.taking)
		r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
		resp := send(site.serve(func(http.ResponseWriter, *http.Request, *sessionstore.Session) {}),
			r, legacyCookie+"="+express1.Encode(adaSID))
		cookie, ok := sessionCookie(resp)
		if !ok || cookie.MaxAge > 0 != persistent {
			t.Errorf("persistent %t: %v", persistent, cookie)
		}
		if resp.Header.Get("Cache-Control") != "no-store" {
			t.Error("a shared cache may keep the cookie")
		}
	}
}

// Ten tabs come at once, at two instances. Each must get the session.
func TestAdoptTenTabs(t *testing.T) {
	old := ofUsers(adaSID)
	one := newSite(t, old.taking)
	two := newSiteOver(t, one.store, old.taking)
	const tabs = 10
	var looked sync.WaitGroup
	looked.Add(tabs)
	old.loading = func(string) error {
		looked.Done()
		looked.Wait() // all have looked here
		return nil
	}
	var all sync.WaitGroup
	users := make([]string, tabs)
	for i := range tabs {
		all.Go(func() { users[i] = sendLegacy([]*site{one, two}[i%2], express1.Encode(adaSID)) })
	}
	all.Wait()
	for i, user := range users {
		expect(t, fmt.Sprintf("user of tab %d", i), user, "ada")
	}
	expect(t, "rows", one.store.rows(), 1)
	expect(t, "sessions there", old.left(), "")
	n := one.m.Count(sessionstore.EventAdopted) + two.m.Count(sessionstore.EventAdopted)
	expect(t, "events", n, 1)
}

// One tab has looked here when another one moves the session: it finds nothing
// there any more.
func TestAdoptLooksHereAgain(t *testing.T) {
	old := ofUsers(adaSID)
	site := newSite(t, old.taking)
	old.loading = once(func() {
		expect(t, "the faster tab", sendLegacy(site, express1.Encode(adaSID)), "ada")
	})
	expect(t, "the slower tab", sendLegacy(site, express1.Encode(adaSID)), "ada")
	expect(t, "rows", site.store.rows(), 1)
}

// One tab has found the session there when another one moves it and logs out.
func TestAdoptRevivesNoLogout(t *testing.T) {
	old := ofUsers(adaSID)
	site := newSite(t, old.taking)
	old.loaded = once(func() {
		legacyBrowser(site, adaSID).use(func(s *sessionstore.Session) {
			site.check(s.Logout(t.Context()))
		})
	})
	expect(t, "the slower tab", sendLegacy(site, express1.Encode(adaSID)), "")
	expect(t, "rows", site.store.rows(), 0)
	expect(t, "sessions there", old.left(), "")
}

// A request that dies between two steps loses nothing and copies nothing.
func TestAdoptKilledBetweenSteps(t *testing.T) {
	down := errors.New("down")
	for what, fail := range map[string]func(*site, *otherLibrary) (recover func()){
		"looking here": func(s *site, _ *otherLibrary) func() {
			return s.store.Inject(fault.Rule{Nth: 1}, store.OpLoad).Release
		},
		"looking there": func(_ *site, o *otherLibrary) func() {
			o.loading = func(string) error { return down }
			return func() { o.loading = nil }
		},
		"looking here again": func(s *site, _ *otherLibrary) func() {
			return s.store.Inject(fault.Rule{Nth: 2}, store.OpLoad).Release
		},
		"before the create": func(s *site, _ *otherLibrary) func() {
			return s.store.Inject(fault.Rule{}, store.OpCreate).Release
		},
		"after the create": func(s *site, _ *otherLibrary) func() {
			return s.store.Inject(fault.Rule{When: fault.After}, store.OpCreate).Release
		},
		"ending it there": func(_ *site, o *otherLibrary) func() {
			o.ending = func(string) error { return down }
			return func() { o.ending = nil }
		},
	} {
		old := ofUsers(adaSID)
		site := newSite(t, old.taking)
		recover := fail(site, old)
		b := legacyBrowser(site, adaSID)
		expect(t, what+": the first request", b.who(), "Service Unavailable")
		expect(t, what+": cookies", len(b.cookies), 1)
		expect(t, what+": events", site.seen(), "session adoption failed")
		recover()
		expect(t, what+": the next request", b.who(), "ada")
		expect(t, what+": rows", site.store.rows(), 1)
		expect(t, what+": sessions there", old.left(), "")
		if b.cookies[cookieName] == "" {
			t.Errorf("%s: no cookie of ours", what)
		}
	}
}

// A request died before it ended the session there. What ends it here counts.
func TestAdoptEndedMeanwhile(t *testing.T) {
	for what, end := range map[string]func(*site){
		"a revoke of the user": func(s *site) { s.revokeUser("ada") },
		"a revoke of all users": func(s *site) {
			_, err := s.m.RevokeAll(t.Context())
			s.check(err)
		},
		"a revoke by its handle": func(s *site) {
			_, err := s.m.Revoke(t.Context(), "ada", legacy.ID(adaSID).Handle())
			s.check(err)
		},
	} {
		old := ofUsers(adaSID)
		site := newSite(t, old.taking)
		old.ending = func(string) error { return errors.New("killed") }
		b := legacyBrowser(site, adaSID)
		expect(t, what+": the first request", b.who(), "Service Unavailable")
		old.ending = nil
		end(site)
		expect(t, what+": the next request", b.who(), "")
		expect(t, what+": rows", site.store.rows(), 0)
		expect(t, what+": sessions there", old.left(), "")
		expect(t, what+": the last request", b.who(), "")
	}
}

// A revoke comes while a session is being moved, after each of the steps.
func TestAdoptRevokedBetweenSteps(t *testing.T) {
	for what, inject := range map[string]func(s *site, o *otherLibrary){
		"before it": func(s *site, _ *otherLibrary) { s.revokeUser("ada") },
		"after looking there": func(s *site, o *otherLibrary) {
			o.loaded = func(string) error {
				s.revokeUser("ada")
				return nil
			}
		},
		"after the create": func(s *site, o *otherLibrary) {
			o.ending = func(string) error {
				s.revokeUser("ada")
				return nil
			}
		},
	} {
		old := ofUsers(adaSID)
		site := newSite(t, old.taking)
		inject(site, old)
		first := sendLegacy(site, express1.Encode(adaSID))
		if what != "after the create" { // the revoke comes before the response
			expect(t, what+": user", first, "")
		}
		old.ending, old.loaded = nil, nil
		expect(t, what+": user of the next request", sendLegacy(site, express1.Encode(adaSID)), "")
		expect(t, what+": rows", site.store.rows(), 0)
		expect(t, what+": sessions there", old.left(), "")
	}
}

// The row is here, made by a request that has yet to look for revokes, or by an
// import: a revoke that came later refuses it.
func TestAdoptLooksForRevokesAgain(t *testing.T) {
	old := ofUsers()
	site := newSite(t, old.taking)
	site.revokeUser("ada")
	rec := store.Record{
		ID: legacy.ID(adaSID), UserID: "ada", Version: 1, Data: json.RawMessage(`{}`),
		CreatedAt: time.Now(), AuthenticatedAt: time.Now().Add(-time.Hour),
		LastSeenAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		AbsoluteExpiresAt: time.Now().Add(time.Hour),
	}
	site.store.inner.(*memory.Store).Put(rec)
	expect(t, "user", sendLegacy(site, express1.Encode(adaSID)), "")
	expect(t, "rows", site.store.rows(), 0)
	rec.AuthenticatedAt = time.Now().Add(time.Minute) // a login after the revoke
	site.store.inner.(*memory.Store).Put(rec)
	expect(t, "user after a later login", sendLegacy(site, express1.Encode(adaSID)), "ada")
}

// Without a store, a cookie leads to what an import or the shared mode has left
// here.
func TestAdoptWithoutStore(t *testing.T) {
	site := newSite(t, func(cfg *sessionstore.Config) {
		cfg.Legacy = sessionstore.LegacyConfig{Cookie: express1, Until: time.Now().Add(time.Hour)}
	})
	_, err := site.store.inner.Create(t.Context(),
		store.Draft{ID: legacy.ID(adaSID), UserID: "ada"})
	site.check(err)
	b := legacyBrowser(site, adaSID)
	expect(t, "user", b.who(), "ada")
	if b.cookies[cookieName] == "" {
		t.Error("no cookie of ours")
	}
	expect(t, "events", site.seen(), "")
	expect(t, "another one", legacyBrowser(site, bobSID).who(), "")
	b.use(func(s *sessionstore.Session) { site.check(s.Logout(t.Context())) })
	expect(t, "cookies after a logout", len(b.cookies), 0)
}

// An attacker plants a cookie of a session of their own.
func TestAdoptPlanted(t *testing.T) {
	old := ofUsers(bobSID)
	site := newSite(t, old.taking)
	b := site.browser(site.user("ada"))
	b.cookies[legacyCookie] = express1.Encode(bobSID)
	expect(t, "user of a session of ours beside a planted cookie", b.who(), "ada")
	expect(t, "calls there", old.asked(), "")
	expect(t, "sessions there", old.left(), bobSID)
}

func TestAdoptDoubled(t *testing.T) {
	ada, bob := express1.Encode(adaSID), express1.Encode(bobSID)
	forged := express.NewCookie(legacyCookie, "another secret").Encode(adaSID)
	one, both := []string{adaSID}, []string{adaSID, bobSID}
	nine := append(slices.Repeat([]string{"x"}, 8), ada)
	const adopted, conflict, isForged, notFound = "session adopted", "session cookie conflict",
		"session cookie forged", "session not found"
	for what, tt := range map[string]struct {
		there  []string
		values []string
		user   string
		events string
	}{
		"the same twice":          {one, []string{ada, ada}, "ada", adopted},
		"a forged one beside it":  {one, []string{forged, ada}, "ada", adopted},
		"a dead one beside it":    {one, []string{bob, ada}, "ada", adopted},
		"a dead one after it":     {one, []string{ada, bob}, "ada", adopted},
		"two that are alive":      {both, []string{ada, bob}, "", conflict},
		"two that are dead":       {nil, []string{ada, bob}, "", notFound},
		"nine":                    {one, nine, "", conflict},
		"forged":                  {one, []string{forged}, "", isForged},
		"cut":                     {one, []string{ada[:len(ada)-1]}, "", isForged},
		"cut before the MAC":      {one, []string{ada[:40]}, "", isForged},
		"of no session":           {nil, []string{ada}, "", notFound},
		"neither theirs nor ours": {one, []string{"vvvvvvvvvv"}, "", isForged},
	} {
		old := ofUsers(tt.there...)
		site := newSite(t, old.taking)
		expect(t, what+": user", sendLegacy(site, tt.values...), tt.user)
		expect(t, what+": events", site.seen(), tt.events)
		if tt.user == "" {
			expect(t, what+": sessions there", old.left(), strings.Join(tt.there, " "))
			expect(t, what+": rows", site.store.rows(), 0)
		}
	}
}

// A logout ends both of two sessions, as it does for cookies of ours.
func TestLogoutEndsDoubled(t *testing.T) {
	old := ofUsers(adaSID, bobSID)
	site := newSite(t, old.taking)
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	send(site.serve(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Logout(r.Context()))
	}), r, legacyCookie+"="+express1.Encode(adaSID), legacyCookie+"="+express1.Encode(bobSID))
	expect(t, "sessions there", old.left(), "")
}

func TestAdoptWindow(t *testing.T) {
	old := ofUsers(adaSID)
	site := newSite(t, old.taking, func(cfg *sessionstore.Config) {
		cfg.Legacy.Until = time.Now().Add(-time.Second)
	})
	expect(t, "user", sendLegacy(site, express1.Encode(adaSID)), "")
	expect(t, "calls", old.asked(), "")
	expect(t, "events", site.seen(), "")
	if h := site.m.Health(t.Context()); h.LegacyUntil != nil {
		t.Error("health has a window that is over")
	}
	if !strings.Contains(site.log.String(), "legacy window over") {
		t.Error("the log does not say that the window is over")
	}
	open := newSite(t, old.taking)
	if h := open.m.Health(t.Context()); h.LegacyUntil == nil {
		t.Error("health has no window")
	}
}

// Logout ends the session there too, and clears its cookie, also beside a
// session of ours.
func TestLogoutEndsLegacy(t *testing.T) {
	logout := func(s *sessionstore.Session) {
		if err := s.Logout(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Run("beside a session of ours", func(t *testing.T) {
		old := ofUsers(bobSID)
		site := newSite(t, old.taking)
		b := site.browser(site.user("ada"))
		b.cookies[legacyCookie] = express1.Encode(bobSID)
		b.use(logout)
		expect(t, "sessions there", old.left(), "")
		expect(t, "rows", site.store.rows(), 0)
		expect(t, "cookies", len(b.cookies), 0)
	})
	t.Run("in the request that moves it", func(t *testing.T) {
		old := ofUsers(adaSID)
		site := newSite(t, old.taking)
		b := legacyBrowser(site, adaSID)
		stale := b.copied()
		b.use(logout)
		expect(t, "rows", site.store.rows(), 0)
		expect(t, "cookies", len(b.cookies), 0)
		expect(t, "events", site.seen(), "session adopted, session logout")
		expect(t, "the old cookie", stale.who(), "")
	})
	t.Run("it fails there", func(t *testing.T) {
		old := ofUsers(bobSID)
		site := newSite(t, old.taking)
		b := site.browser(site.user("ada"))
		b.cookies[legacyCookie] = express1.Encode(bobSID)
		old.ending = func(string) error { return errors.New("down") }
		status, _ := b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			logout(s)
		})
		expect(t, "status", status, http.StatusServiceUnavailable)
		expect(t, "cookies", len(b.cookies), 2)
		old.ending = nil
		b.use(logout)
		expect(t, "cookies", len(b.cookies), 0)
		expect(t, "sessions there", old.left(), "")
	})
	t.Run("and a login in the same request", func(t *testing.T) {
		old := ofUsers(bobSID)
		site := newSite(t, old.taking)
		b := legacyBrowser(site, bobSID)
		b.use(func(s *sessionstore.Session) {
			logout(s)
			site.check(s.Login(t.Context(), "ada"))
		})
		expect(t, "user", b.who(), "ada")
		expect(t, "cookies", len(b.cookies), 1)
	})
}

// The other library's cookie may have the name of ours.
func TestAdoptUnderOurName(t *testing.T) {
	old := ofUsers(adaSID)
	sameName := func(cfg *sessionstore.Config) {
		cfg.Legacy.Cookie = express.NewCookie(cookieName, legacySecret)
	}
	site := newSite(t, old.taking, sameName)
	b := site.browser(express.NewCookie(cookieName, legacySecret).Encode(adaSID))
	expect(t, "user", b.who(), "ada")
	expect(t, "events", site.seen(), "session adopted")
	if !strings.HasPrefix(b.cookies[cookieName], "v1.") {
		t.Error("our cookie does not replace the old one")
	}
	expect(t, "user", b.who(), "ada")
	expect(t, "events", site.seen(), "")
	b.use(func(s *sessionstore.Session) { site.check(s.Logout(t.Context())) })
	expect(t, "cookies", len(b.cookies), 0)

	forged := site.browser(express.NewCookie(cookieName, "another").Encode(adaSID))
	site.seen()
	for what, value := range map[string]string{
		"a forged one of theirs": forged.cookies[cookieName], "what is neither": "x",
		"a forged one of ours": site.user("ada")[:100] + strings.Repeat("A", 17),
	} {
		site.seen()
		expect(t, what, site.browser(value).who(), "")
		expect(t, what+": events", site.seen(), "session cookie forged")
	}
	closed := newSite(t, old.taking, sameName, func(cfg *sessionstore.Config) {
		cfg.Legacy.Until = time.Now().Add(-time.Second)
	})
	expect(t, "after the window",
		closed.browser(express.NewCookie(cookieName, legacySecret).Encode(adaSID)).who(), "")
	expect(t, "events", closed.seen(), "session cookie foreign")
}

// What can't be read is left where it is, and its user is a visitor.
func TestAdoptUnreadable(t *testing.T) {
	deep := `{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`
	for what, tt := range map[string]legacy.Session{
		"a NUL":                      {UserID: "ada", Data: json.RawMessage(`{"a":"\u0000"}`)},
		"a NUL in a key":             {UserID: "ada", Data: json.RawMessage(`{"\u0000":1}`)},
		"half a surrogate pair":      {UserID: "ada", Data: json.RawMessage(`{"a":"\ud800"}`)},
		"a huge number":              {UserID: "ada", Data: json.RawMessage(`{"a":1e100000}`)},
		"deep":                       {UserID: "ada", Data: json.RawMessage(deep)},
		"no JSON":                    {UserID: "ada", Data: json.RawMessage(`{`)},
		"a list":                     {UserID: "ada", Data: json.RawMessage(`[]`)},
		"a user id that is too long": {UserID: strings.Repeat("u", 257)},
		"a user id with a NUL":       {UserID: "a\x00"},
	} {
		old := ofUsers()
		old.sessions[adaSID] = tt
		site := newSite(t, old.taking)
		b := legacyBrowser(site, adaSID)
		expect(t, what+": user", b.who(), "")
		e := site.event(sessionstore.EventAdoptFailed)
		if !errors.Is(e.Err, legacy.ErrUnreadable) {
			t.Errorf("%s: %v", what, e.Err)
		}
		expect(t, what+": sessions there", old.left(), adaSID)
		expect(t, what+": cookies", len(b.cookies), 1)
	}
}

// What only another process would lose is not taken over.
func TestAdoptNotInEmergency(t *testing.T) {
	old := ofUsers(adaSID)
	site := newSiteOver(t, newSpy(memory.New(weekly, memory.Options{Emergency: true})), old.taking)
	expect(t, "user", sendLegacy(site, express1.Encode(adaSID)), "Service Unavailable")
	expect(t, "sessions there", old.left(), adaSID)
	expect(t, "rows", site.store.rows(), 0)
}

// Our own cookie stayed behind, as the marker says: the old one must not take
// its place.
func TestAdoptNotWhereWithheld(t *testing.T) {
	old := ofUsers(bobSID)
	site := newSite(t, old.taking, func(cfg *sessionstore.Config) {
		cfg.Cookie.DisableMarker = false
	})
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp := send(site.serve(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "user", s.UserID(), "")
		expect(t, "withheld", s.Withheld(), true)
	}), r, cookieName+"-set=1", legacyCookie+"="+express1.Encode(bobSID))
	expect(t, "cookies", len(resp.Cookies()), 0)
	expect(t, "sessions there", old.left(), bobSID)
}

// The session ended while the handler ran: its token must not be written over
// that of a login in another tab.
func TestAdoptedAndEndedByTheResponse(t *testing.T) {
	old := ofUsers(adaSID)
	site := newSite(t, old.taking)
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	resp := send(site.serve(func(http.ResponseWriter, *http.Request, *sessionstore.Session) {
		site.revokeUser("ada")
	}), r, legacyCookie+"="+express1.Encode(adaSID))
	expect(t, "cookies", len(resp.Cookies()), 0)
}
