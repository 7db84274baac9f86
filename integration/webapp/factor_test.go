package webapp_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

var shownSecret = regexp.MustCompile(`<code id="secret">([A-Z2-7 ]+)</code>`)

// wrongCode returns a code that is not one of the steps around now.
func wrongCode(t testing.TB, secret string) string {
	t.Helper()
	if testkit.Code(t, secret) == "000000" {
		return "000001"
	}
	return "000000"
}

// enrol gives the user a second factor, whose next code may be that of now.
func (v *visitor) enrol(pool *pgxpool.Pool) (secret string) {
	v.t.Helper()
	v.send("POST /second-factor", "do=begin")
	page := v.want("GET /password", http.StatusOK, "").body
	shown := shownSecret.FindStringSubmatch(page)
	if shown == nil || !strings.Contains(page, `href="otpauth://totp/`) {
		v.t.Fatalf("no secret is shown:\n%s", page)
	}
	secret = shown[1]
	wrong := v.send("POST /second-factor", "do=add", "code="+wrongCode(v.t, secret))
	if wrong.status != http.StatusUnprocessableEntity {
		v.t.Errorf("enrolling with a wrong code: %d", wrong.status)
	}
	got := v.send("POST /second-factor", "do=add", "code="+testkit.Code(v.t, secret))
	if got.status != http.StatusSeeOther {
		v.t.Fatalf("enrolling: %d\n%s", got.status, got.body)
	}
	forgetCodes(v.t, pool)
	return secret
}

// forgetCodes makes a code that was used one that can be used, and forgets the
// tries: the next step is 30 seconds off.
func forgetCodes(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	pgtest.Exec(t, pool, "UPDATE webapp.factors SET step = 0, tries = 0")
}

// begin gives the password of a user with a second factor.
func begin(t testing.TB, site, user string) *visitor {
	t.Helper()
	v := visit(t, site)
	got := v.send("POST /login", "name="+user, "password="+password)
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/code" {
		t.Fatalf("the password of %s: %d, to %q", user, got.status, got.header.Get("Location"))
	}
	v.want("GET /api/me", http.StatusUnauthorized, "")
	return v
}

// code gives a code, and compares where that leads.
func (v *visitor) code(code string, status int) {
	v.t.Helper()
	if got := v.send("POST /code", "code="+code); got.status != status {
		v.t.Errorf("a code: %d, want %d\n%s", got.status, status, got.body)
	}
}

func TestLoginWithASecondFactor(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, production, withSecret, "DATABASE_URL="+databaseURL)
	enlist(t, pool, a.url, "alice", "bob")
	here := loginWith(t, a.url, "alice", password)
	secret := here.enrol(pool)

	there := begin(t, a.url, "alice")
	for _, request := range []string{"GET /devices", "GET /password", "POST /confirm"} {
		if got := there.send(request); got.status != http.StatusSeeOther {
			t.Errorf("%s with the password alone: %d", request, got.status)
		}
	}
	page := here.want("GET /devices", http.StatusOK, "").body
	wantSaid(t, page, "waiting for the code", "login began", "with a password</span>",
		"with a password and a code (level 2)")

	pending := *there
	there.code(wrongCode(t, secret), http.StatusUnprocessableEntity)
	there.code(testkit.Code(t, secret), http.StatusSeeOther)
	there.want("GET /api/me", http.StatusOK, "alice")
	pending.want("GET /api/me", http.StatusUnauthorized, "")
	page = there.want("GET /devices", http.StatusOK, "").body
	if strings.Contains(page, "waiting for the code") ||
		strings.Count(page, "with a password and a code (level 2)") != 2 {
		t.Errorf("after the code:\n%s", page)
	}

	bob := loginWith(t, a.url, "bob", password)
	bob.want("GET /api/me", http.StatusOK, "bob") // has no second factor
	wantSaid(t, bob.send("GET /devices").body, "with a password (level 1)")
	bob.code(testkit.Code(t, secret), http.StatusSeeOther) // nothing is pending
	bob.want("GET /api/me", http.StatusOK, "bob")

	if got := here.send("POST /second-factor", "do=remove"); got.status != http.StatusSeeOther {
		t.Errorf("removing the second factor: %d", got.status)
	}
	loginWith(t, a.url, "alice", password).want("GET /api/me", http.StatusOK, "alice")
}

func TestACodeWorksOnce(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	secret := loginWith(t, a.url, "alice", password).enrol(pool)
	code := testkit.Code(t, secret)
	var all sync.WaitGroup
	var in atomic.Int32
	for range 4 { // fewer than the tries that a user has
		v := begin(t, a.url, "alice")
		all.Go(func() {
			got, err := v.try("POST /code", "code="+code)
			if err != nil {
				t.Error(err)
			}
			if got.status == http.StatusSeeOther {
				in.Add(1)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 {
		t.Errorf("one code logs %d sessions in", in.Load())
	}
}

// The tries are those of the user, in whatever sessions they are made.
func TestTriesOfCodesAreBounded(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	here := loginWith(t, a.url, "alice", password)
	secret := here.enrol(pool)
	other := loginWith(t, a.url, "bob", password)
	bobs := other.enrol(pool)
	for range 5 {
		begin(t, a.url, "alice").code(wrongCode(t, secret), http.StatusUnprocessableEntity)
	}
	begin(t, a.url, "alice").code(testkit.Code(t, secret), http.StatusUnprocessableEntity)
	refused := here.send("POST /confirm", "code="+testkit.Code(t, secret))
	wantSaid(t, refused.body, "Too many codes were wrong.")
	here.want("GET /api/me", http.StatusOK, "alice") // no session ends by it
	begin(t, a.url, "bob").code(testkit.Code(t, bobs), http.StatusSeeOther)

	pgtest.Exec(t, pool, "UPDATE webapp.factors SET since = since - interval '11 minutes'")
	begin(t, a.url, "alice").code(testkit.Code(t, secret), http.StatusSeeOther)
}

func TestAPendingLoginTimesOut(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	secret := loginWith(t, a.url, "alice", password).enrol(pool)
	v := begin(t, a.url, "alice")
	pgtest.AgeLogins(t, pool)
	if got := v.send("GET /code"); got.header.Get("Location") != "/" {
		t.Errorf("the page of a login that timed out: %d", got.status)
	}
	v.code(testkit.Code(t, secret), http.StatusSeeOther)
	v.want("GET /api/me", http.StatusUnauthorized, "")
	wantSaid(t, v.send("GET /").body, "That login took too long.")
}

// A new password and the end of other devices reach a login that waits for its
// code.
func TestAPendingLoginEndsWithTheOthers(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	here := loginWith(t, a.url, "alice", password)
	secret := here.enrol(pool)
	for _, end := range [][]string{
		{"POST /devices/end-others"}, {"POST /password", "password=" + password},
	} {
		v := begin(t, a.url, "alice")
		if got := here.send(end[0], end[1:]...); got.status != http.StatusSeeOther {
			t.Fatalf("%s: %d\n%s", end[0], got.status, got.body)
		}
		v.code(testkit.Code(t, secret), http.StatusSeeOther)
		v.want("GET /api/me", http.StatusUnauthorized, "")
	}
}

// What a stolen session must not do needs a code of the last minutes, if the
// user has a second factor: neither the password nor an old code will do.
func TestSensitiveActionsNeedACode(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	stolen := loginWith(t, a.url, "alice", password)
	here := loginWith(t, a.url, "alice", password)
	secret := here.enrol(pool)
	for name, v := range map[string]*visitor{
		"password alone": stolen, "login without a password": login(t, a.url, "alice"),
	} {
		for _, request := range []string{
			"POST /devices/end", "POST /devices/end-others", "POST /password",
			"POST /second-factor",
		} {
			got := v.send(request, "password="+newPassword, "do=remove")
			if got.status != http.StatusForbidden {
				t.Errorf("%s: %s: %d", name, request, got.status)
			}
			wantSaid(t, got.body, "Is it you?", `name="code"`)
		}
		got := v.send("POST /confirm", "password="+password)
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: the password in place of a code: %d", name, got.status)
		}
	}

	pgtest.AgeLogins(t, pool)
	forgetCodes(t, pool)
	if got := here.send("POST /devices/end-others"); got.status != http.StatusForbidden {
		t.Errorf("with an old code: %d", got.status)
	}
	before := *here
	got := here.send("POST /confirm", "next=/devices", "code="+testkit.Code(t, secret))
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/devices" {
		t.Errorf("a code: %d, to %q", got.status, got.header.Get("Location"))
	}
	before.want("GET /api/me", http.StatusUnauthorized, "") // a step-up changes the token
	wantSaid(t, here.send("GET /devices").body, "with a password and a code (level 2)")
	if got := here.send("POST /devices/end-others"); got.status != http.StatusSeeOther {
		t.Errorf("with a new code: %d", got.status)
	}
	stolen.want("GET /api/me", http.StatusUnauthorized, "")
}

// A page to go on with is one of ours.
func TestConfirmLeadsToAPageOfTheDemo(t *testing.T) {
	t.Parallel()
	a := start(t, development, "DATABASE_URL="+application(t))
	v := loginWith(t, a.url, "alice", password)
	got := v.send("POST /confirm", "next=//evil.example/", "password="+password)
	if got.header.Get("Location") != "/password" {
		t.Errorf("confirm leads to %q", got.header.Get("Location"))
	}
}

// Who planted the session that the victim logs in with chose its values. None
// of them is the secret that the victim is asked to enter.
func TestAPlantedSessionHasNoSecret(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	for name, value := range map[string]string{
		"a link":           "otpauth://totp/pgsession%20demo:alice?secret=" + secret,
		"a link of a kind": "javascript://totp/%0aalert(1)?secret=" + secret,
		"a value":          `{"User":"alice","LoginID":"","Secret":"` + secret + `"}`,
	} {
		v := visit(t, a.url)
		v.want("POST /api/set?k=enrolling&v="+url.QueryEscape(value), http.StatusOK, "")
		v.send("POST /login", "name=alice", "password="+password)
		page := v.want("GET /password", http.StatusOK, "").body
		if shownSecret.MatchString(page) || strings.Contains(page, "javascript:") {
			t.Errorf("%s: a secret is shown:\n%s", name, page)
		}
		v.send("POST /second-factor", "do=add", "code="+testkit.Code(t, secret))
	}
	if n := pgtest.One[int](t, pool, "SELECT count(*) FROM webapp.factors"); n != 0 {
		t.Error("the planted secret is the user's")
	}

	// Nor is one that an earlier login of the same user began.
	v := loginWith(t, a.url, "alice", password)
	v.send("POST /second-factor", "do=begin")
	if !shownSecret.MatchString(v.send("GET /password").body) {
		t.Fatal("no secret is shown")
	}
	v.want("GET /api/get?k=enrolling", http.StatusNotFound, "")
	v.send("POST /login", "name=alice", "password="+password)
	if shownSecret.MatchString(v.send("GET /password").body) {
		t.Error("the secret of the login before is shown")
	}
}

// The factor is removed on another device while a login waits for its code.
func TestTheFactorIsRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	databaseURL, pool := database(t)
	a := start(t, development, "DATABASE_URL="+databaseURL)
	here := loginWith(t, a.url, "alice", password)
	secret := here.enrol(pool)
	wantSaid(t, here.send("GET /devices").body, "From now on a login needs a code, too.",
		"Devices that logged in without one stay logged in")
	there := begin(t, a.url, "alice")
	here.send("POST /second-factor", "do=remove")
	there.code(testkit.Code(t, secret), http.StatusSeeOther)
	there.want("GET /api/me", http.StatusUnauthorized, "")
	wantSaid(t, there.send("GET /").body, "Your second factor was removed meanwhile. Log in again.")
}
