package sessionstore_test

import (
	"context"
	"maps"
	"net/http"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

func (b *jar) copied() *jar { return &jar{b.t, b.site, maps.Clone(b.cookies)} }

func renew(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	_ = s.Regenerate(r.Context())
}

// Somebody plants both cookies of a login of theirs that nobody answered, and keeps a copy. Who logs in with them, or gets a new token
// for any other reason, does so under a token that the copy doesn't lead to.
func TestBothCookiesPlantedBeforeALogin(t *testing.T) {
	for _, made := range []bool{true, false} {
		thief, _ := unanswered(t, made)
		if !made {
			expect(t, "whose session it is", thief.who(), "visitor")
		}
		victim := thief.copied()
		_, _ = victim.get(logIn)
		expect(t, "who logs in", victim.who(), "ann")
		expect(t, "who planted the cookies", thief.who(), "")

		thief, _ = unanswered(t, made)
		victim = thief.copied()
		_, _ = victim.get(renew)
		expect(t, "who planted the cookies", thief.who(), "")
	}
}

// A second cookie that was got once says nothing beside another first one, of whose token it would make a known one.
func TestASecondCookiePlantedBesideAnother(t *testing.T) {
	thief, _ := unanswered(t, false)
	thief.cookies[cookieName] = thief.site.newcomer()
	victim := thief.copied()
	thief.site.store.asked()
	_, set := victim.get(logIn)
	expect(t, "cookies set", set, "-"+nextName+" "+cookieName+" ")
	expect(t, "calls", thief.site.store.asked(), "Load Rotate")
	expect(t, "who logs in", victim.who(), "ann")
	thief.site.store.asked()
	expect(t, "who planted the cookies", thief.who(), "")
	expect(t, "calls", thief.site.store.asked(), "Load")
}

// The login is made again, and again nobody answers: whichever of its tokens the session gets, the browser has it.
func TestALoginThatNobodyAnsweredTwice(t *testing.T) {
	for _, step := range []int{1, 2} { // to the token that it was to get, and from there
		for _, made := range []bool{true, false} {
			b, u := unanswered(t, false)
			first, n := u.late, 0
			b.site.store.on("Rotate", func(context.Context) error {
				if n++; n == step {
					u.armed, u.made = true, made
				}
				return nil
			})
			status, set := b.get(logIn)
			b.site.store.on("Rotate", nil)
			u.away = false
			expect(t, "status", status, http.StatusServiceUnavailable)
			want := nextName + " "
			if step == 2 {
				want += cookieName + " "
			}
			expect(t, "cookies set", set, want)
			user := "visitor"
			if step == 2 && made {
				user = "ann"
			}
			expect(t, "afterwards", b.copied().who(), user)
			_ = first() // whichever arrives late, and in which order
			if !made {
				_ = u.late()
			}
			if user = "ann"; step == 1 && made {
				user = "visitor"
			}
			expect(t, "when they have arrived", b.who(), user)
			_, _ = b.get(logIn)
			expect(t, "logged in", b.who(), "ann")
			expect(t, "rows", b.site.store.rows(), 1)
		}
	}
}

// The first cookie may be written for another reason before it is known what became of the token.
func TestTheSecondCookieStaysWhileNobodyKnows(t *testing.T) {
	b, u := unanswered(t, false)
	_, set := b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) { _ = s.RememberMe(true) })
	expect(t, "cookies set", set, nextName+" "+cookieName+" ")
	expect(t, "when it arrives late", u.late(), nil)
	_, _ = b.get(func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		expect(t, "user", s.UserID(), "ann")
		expect(t, "remembered", s.Remembered(), true)
	})
	expect(t, "cookies", len(b.cookies), 1)
}

// A session that a handler's own Save gave a new token is not lost with the response that fails.
func TestANewTokenBeforeAFailure(t *testing.T) {
	u := &unheard{Store: sessionstore.NewMemory(weekly, 0)}
	site := newSiteOver(t, &spyStore{Store: u})
	b := &jar{t, site, map[string]string{cookieName: site.newcomer()}}
	status, set := b.get(func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		logIn(w, r, s)
		site.check(s.Save(r.Context()))
		site.check(s.Set("later", true))
		u.away = true
	})
	expect(t, "status", status, http.StatusServiceUnavailable)
	expect(t, "cookies set", set, cookieName+" ")
	u.away = false
	expect(t, "afterwards", b.who(), "ann")
}
