package sessionstore_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/reporadar/pgsession/sessionstore"
)

var (
	acme   = sessionstore.NewTag("organisation", "acme")
	globex = sessionstore.NewTag("organisation", "globex")
)

// member logs a user in with tags.
func (s *site) member(userID string, tags ...sessionstore.Tag) string {
	s.t.Helper()
	_, cookie := s.visit("", func(
		_ http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
	) {
		s.check(sess.Login(r.Context(), userID, sessionstore.WithTags(tags...)))
	})
	return cookie
}

func TestListTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		var want []string
		for _, user := range []string{"ada", "eve", "kim"} {
			site.member(user, acme, globex)
			want = append([]string{user}, want...) // the newest first
			pass(1)
		}
		site.member("ada", globex)
		site.member("ada")
		var got []string
		for page := (sessionstore.Page{Max: 2}); ; {
			infos, err := site.m.ListTag(t.Context(), acme, page)
			site.check(err)
			if len(infos) == 0 {
				break
			}
			for _, info := range infos {
				got = append(got, info.UserID)
			}
			page = infos[len(infos)-1].Next()
			page.Max = 2
		}
		expect(t, "users", len(got), len(want))
		for i := range want {
			expect(t, "a user", got[i], want[i])
		}
	})
}

// A list of a user has no sessions of others, whatever the page asks for.
func TestListIgnoresTagOfPage(t *testing.T) {
	site := newSite(t)
	site.member("ada")
	site.member("eve", acme)
	infos, err := site.m.List(t.Context(), "ada", sessionstore.Page{Tag: acme})
	site.check(err)
	expect(t, "sessions", len(infos), 1)
	expect(t, "whose", infos[0].UserID, "ada")
}

func TestRevokeTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		ada, eve := site.member("ada", acme), site.member("eve", globex, acme)
		others := []string{site.member("ada", globex), site.member("ada")}
		watched, unconcerned := site.open(t, ada, nothing), site.open(t, others[0], nothing)
		site.seen()
		r, err := site.m.RevokeTag(t.Context(), acme)
		site.check(err)
		expect(t, "Count", r.Count, 2)
		expect(t, "Committed", r.Committed, true)
		e := site.event(sessionstore.EventRevoked)
		expect(t, "Count of the event", e.Count, 2)
		expect(t, "UserID of the event", e.UserID, "")
		for _, cookie := range []string{ada, eve} {
			expect(t, "with the tag", site.look(cookie), "no session")
		}
		for _, cookie := range others {
			expect(t, "without the tag", site.look(cookie), "user=ada")
		}
		synctest.Wait()
		watched.expect("a watch of a session with the tag", sessionstore.ErrNotFound)
		unconcerned.expect("a watch of another session", nil)
		unconcerned.close()
		site.seen()
		r, err = site.m.RevokeTag(t.Context(), acme)
		expect(t, "once more", r.Count == 0 && err == nil && site.seen() == "", true)
	})
}

// A login that began before the revoke of its tag is refused, and one that the
// same request begins afterwards is not.
func TestRevokeTagRefusesLoginInProgress(t *testing.T) {
	for name, tt := range map[string]struct {
		login   sessionstore.Tag
		outside bool
		want    error
	}{
		"its tag":      {acme, true, sessionstore.ErrRevoked},
		"another tag":  {globex, true, nil},
		"same request": {acme, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t)
			site.visit("", func(
				_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				ctx := r.Context()
				if tt.outside {
					ctx = t.Context()
				}
				_, err := site.m.RevokeTag(ctx, acme)
				site.check(err)
				site.check(s.Login(r.Context(), "ada", sessionstore.WithTags(tt.login)))
				err = s.Save(r.Context())
				expect(t, "refused", errors.Is(err, sessionstore.ErrRevoked), tt.want != nil)
				expect(t, "saved", err == nil, tt.want == nil)
			})
		})
	}
}

func TestZeroTagIsRefused(t *testing.T) {
	site := newSite(t)
	_, list := site.m.ListTag(t.Context(), sessionstore.Tag{}, sessionstore.Page{})
	_, revoke := site.m.RevokeTag(t.Context(), sessionstore.Tag{})
	_, inTx := site.m.WithTx(nil).RevokeTag(t.Context(), sessionstore.Tag{})
	for call, err := range map[string]error{
		"ListTag": list, "RevokeTag": revoke, "Tx.RevokeTag": inTx,
	} {
		var value *sessionstore.ValueError
		expect(t, call, errors.As(err, &value) && value.Key == "tag", true)
	}
	expect(t, "calls of the store", site.store.asked(), "")
}
