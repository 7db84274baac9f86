package oidc_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	lib "github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/oauth2"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/oidc"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

func TestMain(m *testing.M) { testkit.Main(m, testkit.NeedPostgres) }

const clientID = "shop"

// provider signs tokens.
type provider struct {
	t   *testing.T
	url string
	key *rsa.PrivateKey
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s := &oidctest.Server{PublicKeys: []oidctest.PublicKey{
		{PublicKey: key.Public(), KeyID: "k", Algorithm: lib.RS256},
	}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.SetIssuer(server.URL)
	return &provider{t, server.URL, key}
}

// claims are those of a token; nil takes one out.
type claims map[string]any

func (p *provider) sign(base, change claims) string {
	p.t.Helper()
	all := claims{
		"iss": p.url, "aud": clientID, "iat": time.Now().Unix(),
		"exp": time.Now().Add(2 * time.Minute).Unix(),
	}
	maps.Copy(all, base)
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(all)
	if err != nil {
		p.t.Fatal(err)
	}
	return oidctest.SignIDToken(p.key, "k", lib.RS256, string(text))
}

const event = "http://schemas.openid.net/event/backchannel-logout"

// logout returns a logout token for ada's session s1, but for the changes.
func (p *provider) logout(change claims) string {
	p.t.Helper()
	return p.sign(claims{
		"jti": rand.Text(), "sub": "ada", "sid": "s1", "events": claims{event: claims{}},
	}, change)
}

// shop is the application on a database of its own.
type shop struct {
	*oidc.App
	t        *testing.T
	provider *provider
	admin    *pgxpool.Pool
	// What the provider keeps of the login that is under way.
	challenge string
	idToken   func() string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	t.Parallel()
	databaseURL := pgtest.Database(t)
	s := &shop{t: t, provider: newProvider(t), admin: pgtest.Pool(t, databaseURL)}
	pgtest.Exec(t, s.admin, oidc.Schema)
	pgtest.Exec(t, s.admin, `GRANT SELECT, INSERT, UPDATE, DELETE
		ON public.logout_tokens, public.passkeys, public.organisations TO PUBLIC`)
	pool := pgtest.Pool(t, pgtest.Application(t, databaseURL))
	m, err := sessionstore.New(t.Context(), pool, sessionstore.Config{
		Env: sessionstore.Development, StoreTimeout: testkit.Patience,
		Cookie: sessionstore.CookieConfig{SameSite: http.SameSiteStrictMode}, // as in production
		Outage: sessionstore.OutageConfig{DisableEmergency: true},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	found, err := lib.NewProvider(t.Context(), s.provider.url)
	if err != nil {
		t.Fatal(err)
	}
	tokens := httptest.NewServer(http.HandlerFunc(s.exchange))
	t.Cleanup(tokens.Close)
	s.App = &oidc.App{
		Sessions: m, Pool: pool,
		OAuth: &oauth2.Config{ClientID: clientID, Endpoint: oauth2.Endpoint{
			AuthURL: "https://login.example/authorize", TokenURL: tokens.URL,
			AuthStyle: oauth2.AuthStyleInParams,
		}},
		Verifier: found.VerifierContext(context.Background(), &lib.Config{ClientID: clientID}),
	}
	return s
}

// exchange is the token endpoint of the provider. It takes a code from the
// client that began the login alone (PKCE).
func (s *shop) exchange(w http.ResponseWriter, r *http.Request) {
	if oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != s.challenge {
		http.Error(w, "invalid_grant", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(map[string]string{
		"access_token": "unused", "token_type": "Bearer", "id_token": s.idToken(),
	})
	if err != nil {
		s.t.Error(err)
	}
}

// begin begins a login. It returns what the application sent the provider, and
// the cookie.
func (s *shop) begin() (sent url.Values, cookie string) {
	s.t.Helper()
	begun := ask(s.Handler(), http.MethodGet, "/login", "", nil)
	to, err := url.Parse(begun.Header().Get("Location"))
	if err != nil {
		s.t.Fatal(err)
	}
	sent = to.Query()
	s.challenge = sent.Get("code_challenge")
	return sent, cookieOf(begun)
}

// login logs a user in, in a session of the provider. under is called while the
// login is under way. It returns the status of the callback and the cookie.
func (s *shop) login(user, sid string, under func()) (status int, cookie string) {
	s.t.Helper()
	sent, begun := s.begin()
	s.idToken = func() string {
		token := s.provider.sign(claims{
			"sub": user, "sid": sid, "nonce": sent.Get("nonce"),
		}, nil)
		if under != nil {
			under()
		}
		return token
	}
	w := ask(s.Handler(), http.MethodGet, "/callback?code=c&state="+sent.Get("state"), begun, nil)
	return w.Code, cookieOf(w)
}

// loginAfter is login after a revoke of the same tag. A login that begins at
// once may be refused while replies are slow: then it begins again.
func (s *shop) loginAfter(user, sid string, under func()) (cookie string) {
	s.t.Helper()
	testkit.Eventually(s.t, "the login after the revoke is accepted", func() bool {
		var status int
		status, cookie = s.login(user, sid, under)
		return status == http.StatusSeeOther
	})
	return cookie
}

// member logs a user in with a tag.
func (s *shop) member(user string, tag sessionstore.Tag) (cookie string) {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.Sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sess, err := sessionstore.FromContext(r.Context())
		if err == nil {
			err = sess.Login(r.Context(), user, sessionstore.WithTags(tag))
		}
		if err != nil {
			s.t.Error(err)
		}
	})).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	return cookieOf(w)
}

// who returns the user of a cookie.
func (s *shop) who(cookie string) (user string) {
	s.t.Helper()
	ask(s.Sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sess, err := sessionstore.FromContext(r.Context())
		if err != nil {
			s.t.Error(err)
			return
		}
		user = sess.UserID()
	})), http.MethodGet, "/", cookie, nil)
	return user
}

// post sends a logout token, and compares the status.
func (s *shop) post(what, token string, want int) {
	s.t.Helper()
	w := ask(s.Handler(), http.MethodPost, "/backchannel-logout", "",
		url.Values{"logout_token": {token}})
	if w.Code != want || w.Header().Get("Cache-Control") != "no-store" {
		s.t.Errorf("%s: status %d, want %d; Cache-Control %q", what, w.Code, want,
			w.Header().Get("Cache-Control"))
	}
}

func ask(
	h http.Handler, method, target, cookie string, form url.Values,
) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// cookieOf returns the session's cookie that a response sets.
func cookieOf(w *httptest.ResponseRecorder) string {
	for _, c := range w.Result().Cookies() {
		if !strings.HasSuffix(c.Name, "-set") && c.MaxAge >= 0 {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

func (s *shop) expect(what, cookie, user string) {
	s.t.Helper()
	if got := s.who(cookie); got != user {
		s.t.Errorf("%s: the session is of %q, want %q", what, got, user)
	}
}

func TestBackchannelLogout(t *testing.T) {
	s := newShop(t)
	_, one := s.login("ada", "s1", nil)
	_, two := s.login("ada", "s2", nil)
	_, eves := s.login("eve", "s3", nil)
	s.expect("before", one, "ada")
	s.post("by sid", s.provider.logout(nil), http.StatusOK)
	s.expect("the session that has the sid", one, "")
	s.expect("another session of the user", two, "ada")
	s.post("a session that is over", s.provider.logout(nil), http.StatusOK)

	s.post("by sub", s.provider.logout(claims{"sid": nil}), http.StatusOK)
	s.expect("each session of the user", two, "")
	s.expect("another user", eves, "eve")
	s.post("by sid alone", s.provider.logout(claims{"sub": nil, "sid": "s3"}), http.StatusOK)
	s.expect("by sid alone", eves, "")
}

func TestBackchannelLogoutRefuses(t *testing.T) {
	s := newShop(t)
	_, cookie := s.login("ada", "s1", nil)
	other := newProvider(t)
	now := time.Now()
	signed, of := s.provider.logout(nil), s.provider.logout(claims{"sub": "eve"})
	signed = signed[:strings.LastIndex(signed, ".")]
	past, future, null := now.Add(-time.Second), now.Add(time.Hour), json.RawMessage("null")
	for what, token := range map[string]string{
		"no token":                   "",
		"no JWT":                     "ada",
		"another provider":           other.logout(nil),
		"another provider's":         other.logout(claims{"iss": s.provider.url}),
		"issuer of another":          s.provider.logout(claims{"iss": other.url}),
		"another client":             s.provider.logout(claims{"aud": "bank"}),
		"nonce":                      s.provider.logout(claims{"nonce": "n"}),
		"nonce of null":              s.provider.logout(claims{"nonce": null}),
		"expired":                    s.provider.logout(claims{"exp": past.Unix()}),
		"no exp":                     s.provider.logout(claims{"exp": nil}),
		"no iat":                     s.provider.logout(claims{"iat": nil}),
		"iat of the future":          s.provider.logout(claims{"iat": future.Unix()}),
		"no jti":                     s.provider.logout(claims{"jti": nil}),
		"no events":                  s.provider.logout(claims{"events": nil}),
		"another event":              s.provider.logout(claims{"events": claims{"x": claims{}}}),
		"event of null":              s.provider.logout(claims{"events": claims{event: null}}),
		"event that is a text":       s.provider.logout(claims{"events": claims{event: "yes"}}),
		"neither sid nor sub":        s.provider.logout(claims{"sid": nil, "sub": nil}),
		"an ID token":                s.provider.sign(claims{"sub": "ada", "sid": "s1"}, nil),
		"unsigned":                   "eyJhbGciOiJub25lIn0." + strings.Split(signed, ".")[1] + ".",
		"signature of another token": signed + of[strings.LastIndex(of, "."):],
	} {
		s.post(what, token, http.StatusBadRequest)
	}
	s.expect("after all of them", cookie, "ada")
	if n := pgtest.One[int](t, s.admin, "SELECT count(*) FROM public.logout_tokens"); n != 0 {
		t.Errorf("%d tokens that were refused count as used", n)
	}
}

func TestLogoutTokenWorksOnce(t *testing.T) {
	s := newShop(t)
	_, before := s.login("ada", "s1", nil)
	token := s.provider.logout(claims{"sid": nil})
	s.post("the first time", token, http.StatusOK)
	s.expect("the session before it", before, "")
	after := s.loginAfter("ada", "s2", nil)
	s.post("the second time", token, http.StatusBadRequest)
	s.expect("the session after it", after, "ada")

	// Two providers may choose the same jti, and what has expired is forgotten.
	pgtest.Exec(t, s.admin, `UPDATE public.logout_tokens SET expires = now() - interval '1 s';
		INSERT INTO public.logout_tokens VALUES ('https://other.example', 'j', now() + interval '1 h')`)
	s.post("another provider's jti", s.provider.logout(claims{"jti": "j"}), http.StatusOK)
	if n := pgtest.One[int](t, s.admin, "SELECT count(*) FROM public.logout_tokens"); n != 2 {
		t.Errorf("%d tokens are kept, want 2", n)
	}
}

// A token whose revoke failed was not used: the provider sends it again.
func TestLogoutThatFailsIsRepeated(t *testing.T) {
	s := newShop(t)
	_, cookie := s.login("ada", "s1", nil)
	token := s.provider.logout(nil)
	pgtest.Exec(t, s.admin, `CREATE FUNCTION public.fault() RETURNS trigger LANGUAGE plpgsql
		AS $$BEGIN RAISE EXCEPTION 'no'; END$$`)
	pgtest.Exec(t, s.admin, `CREATE TRIGGER fault BEFORE DELETE ON pgsession.sessions
		FOR EACH ROW EXECUTE FUNCTION public.fault()`)
	s.post("while no session can end", token, http.StatusBadRequest)
	s.expect("while no session can end", cookie, "ada")
	pgtest.Exec(t, s.admin, "DROP TRIGGER fault ON pgsession.sessions")
	s.post("afterwards", token, http.StatusOK)
	s.expect("afterwards", cookie, "")
}

// failFrom makes each mark of a revoke from the nth on fail. A revoke in a
// transaction leaves one before the commit, and one after it. mend ends that.
func (s *shop) failFrom(n int) (mend func()) {
	s.t.Helper()
	pgtest.Exec(s.t, s.admin, fmt.Sprintf(`CREATE SEQUENCE public.marked;
		CREATE FUNCTION public.fault() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			IF pg_catalog.nextval('public.marked') >= %d THEN RAISE EXCEPTION 'no'; END IF;
			RETURN NULL;
		END$$;
		CREATE TRIGGER fault AFTER INSERT OR UPDATE ON pgsession.marks
		FOR EACH ROW EXECUTE FUNCTION public.fault()`, n))
	return func() { pgtest.Exec(s.t, s.admin, "DROP TRIGGER fault ON pgsession.marks") }
}

// Wherever a logout fails, the provider's repeat of the same token carries it
// out.
func TestLogoutIsRepeatedWhereverItFailed(t *testing.T) {
	s := newShop(t)
	for n := range 2 {
		_, cookie := s.login("ada", fmt.Sprint("s", n), nil)
		token := s.provider.logout(claims{"sid": fmt.Sprint("s", n)})
		mend := s.failFrom(n + 1)
		w := ask(s.Handler(), http.MethodPost, "/backchannel-logout", "",
			url.Values{"logout_token": {token}})
		mend()
		pgtest.Exec(t, s.admin, "DROP FUNCTION public.fault; DROP SEQUENCE public.marked")
		if w.Code != http.StatusOK {
			s.post("afterwards", token, http.StatusOK)
		}
		s.expect("afterwards", cookie, "")
	}
}

// The passkey is gone and the revoke after the commit failed: the same call
// once more ends what began meanwhile.
func TestRemovedPasskeyIsRepeated(t *testing.T) {
	s := newShop(t)
	pgtest.Exec(t, s.admin, "INSERT INTO public.passkeys VALUES ('k1', 'ada')")
	mend := s.failFrom(2)
	if err := s.RemovePasskey(t.Context(), "ada", "k1"); err == nil {
		t.Fatal("the revoke after the commit failed, and there is no error")
	}
	mend()
	// A login that was under way could not see the mark of the transaction.
	pgtest.Exec(t, s.admin, "DELETE FROM pgsession.marks")
	cookie := s.member("ada", oidc.PasskeyTag("ada", "k1"))
	s.expect("meanwhile", cookie, "ada")
	if err := s.RemovePasskey(t.Context(), "ada", "k1"); err != nil {
		t.Error(err)
	}
	s.expect("after the repeat", cookie, "")
}

// The provider ends a session whose login is under way here: the callback has
// the ID token, and no session to end is there yet.
func TestLogoutRefusesLoginUnderWay(t *testing.T) {
	for name, change := range map[string]claims{"sid": nil, "sub": {"sid": nil}} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			status, cookie := s.login("ada", "s1", func() {
				s.post("meanwhile", s.provider.logout(change), http.StatusOK)
			})
			if status != http.StatusForbidden || s.who(cookie) != "" {
				t.Errorf("the login: status %d", status)
			}
			cookie = s.loginAfter("ada", "s2", func() {
				s.post("of another session", s.provider.logout(nil), http.StatusOK)
			})
			s.expect("in another session", cookie, "ada")
		})
	}
}

// The provider ends its session after it signed the ID token, and before the
// browser brings the code: the callback begins later than the revoke.
func TestLogoutRefusesLoginWithAnOlderToken(t *testing.T) {
	s := newShop(t)
	sent, begun := s.begin()
	token := s.provider.sign(claims{
		"sub": "ada", "sid": "s1", "nonce": sent.Get("nonce"),
		"iat": time.Now().Add(-10 * time.Minute).Unix(),
	}, nil)
	s.idToken = func() string { return token }
	s.post("after the ID token", s.provider.logout(nil), http.StatusOK)
	// The mark is older than the callback by more than replies can take.
	pgtest.Exec(t, s.admin,
		"UPDATE pgsession.marks SET revoked_at = revoked_at - interval '5 minutes'")
	w := ask(s.Handler(), http.MethodGet, "/callback?code=c&state="+sent.Get("state"), begun, nil)
	if w.Code != http.StatusForbidden || s.who(cookieOf(w)) != "" {
		t.Errorf("the login: status %d, of %q", w.Code, s.who(cookieOf(w)))
	}
	if !strings.Contains(w.Body.String(), `<a href="/login">`) {
		t.Errorf("the user can't try again:\n%s", w.Body)
	}
}

// A user follows a link of another site to the login. The browser sends the
// marker, and not the session in which the login keeps its state.
func TestALinkOfAnotherSiteBeginsALogin(t *testing.T) {
	s := newShop(t)
	sent, begun := s.begin()
	s.idToken = func() string {
		return s.provider.sign(claims{"sub": "ada", "nonce": sent.Get("nonce")}, nil)
	}
	w := ask(s.Handler(), http.MethodGet, "/callback?code=c&state="+sent.Get("state"), begun, nil)
	marker := ""
	for _, c := range w.Result().Cookies() {
		if strings.HasSuffix(c.Name, "-set") {
			marker = c.Name + "=" + c.Value
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/login", nil)
	for name, value := range map[string]string{
		"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate",
		"Sec-Fetch-Dest": "document", "Cookie": marker,
	} {
		r.Header.Set(name, value)
	}
	link := httptest.NewRecorder()
	s.Handler().ServeHTTP(link, r)
	if marker == "" || link.Code != http.StatusOK ||
		!strings.Contains(link.Body.String(), "location.replace") {
		t.Errorf("with the marker %q the link is answered with %d, to %q", marker, link.Code,
			link.Header().Get("Location"))
	}
	if status, cookie := s.login("ada", "s1", nil); status != http.StatusSeeOther {
		t.Errorf("the next login: status %d, %q", status, cookie)
	}
}

func TestRemovedPasskeyEndsItsSessions(t *testing.T) {
	s := newShop(t)
	pgtest.Exec(t, s.admin, "INSERT INTO public.passkeys VALUES ('k1', 'ada'), ('k2', 'ada')")
	lost := s.member("ada", oidc.PasskeyTag("ada", "k1"))
	kept := s.member("ada", oidc.PasskeyTag("ada", "k2"))
	if err := s.RemovePasskey(t.Context(), "eve", "k2"); err != nil { // not hers
		t.Error(err)
	}
	if err := s.RemovePasskey(t.Context(), "ada", "k1"); err != nil {
		t.Error(err)
	}
	s.expect("of the passkey", lost, "")
	s.expect("of another passkey", kept, "ada")
}

func TestSuspendedOrganisationEndsItsSessions(t *testing.T) {
	s := newShop(t)
	pgtest.Exec(t, s.admin,
		"INSERT INTO public.organisations VALUES ('acme', false), ('globex', false)")
	acme, globex := oidc.OrganisationTag("acme"), oidc.OrganisationTag("globex")
	ada, eve, kim := s.member("ada", acme), s.member("eve", acme), s.member("kim", globex)
	infos, err := s.Sessions.ListTag(t.Context(), acme, sessionstore.Page{})
	if err != nil || len(infos) != 2 || infos[0].UserID != "eve" || infos[1].UserID != "ada" {
		t.Errorf("sessions of the organisation: %v, %v", infos, err)
	}
	if err := s.Suspend(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	s.expect("a member", ada, "")
	s.expect("another member", eve, "")
	s.expect("another organisation", kim, "kim")
	if !pgtest.One[bool](t, s.admin,
		"SELECT suspended FROM public.organisations WHERE name = 'acme'") {
		t.Error("the organisation is not suspended")
	}
}
