package browser_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// elsewheres are devices that a user may have, and when they were seen. The
// addresses are those of documentation.
var elsewheres = []struct{ userAgent, address, seen, loggedIn string }{
	{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
		"203.0.113.24", "2 minutes", "3 days",
	},
	{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"2001:db8:20::7", "5 hours", "6 days",
	},
	{
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
		"198.51.100.16", "4 days", "12 days",
	},
}

// populate logs a user in on all of them.
func populate(t *testing.T, s *site, databaseURL, user string) {
	t.Helper()
	pool := pgtest.Pool(t, databaseURL)
	for _, e := range elsewheres {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			s.app.url+"/api/login?user="+user, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", e.userAgent)
		r.Header.Set("X-Forwarded-For", e.address)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		pgtest.Exec(t, pool, `UPDATE pgsession.sessions SET created_at = now() - $3::text::interval, authenticated_at = now() - $3::text::interval,
			last_seen_at = now() - $2::text::interval WHERE user_agent = $1`, e.userAgent, e.seen, e.loggedIn)
	}
}

// Every page, on a screen and on a phone, light and dark.
func TestSlowThePagesAreGoodToLookAt(t *testing.T) {
	begin(t)
	databaseURL := pgtest.Database(t)
	s := front(t, production, withSecret, "DATABASE_URL="+databaseURL)
	populate(t, s, databaseURL, "Ada")
	d := laptop(t, s)

	d.open("/")
	d.lookAt("stranger")
	d.open("/ended")
	d.lookAt("ended")
	d.open("/operator")
	d.lookAt("operator")

	d.login("Ada")
	d.follow(`#counter button[value="add"]`)
	d.follow(`#cart button[value="Coffee"][name="add"]`)
	d.lookAt("home")
	d.open("/devices")
	d.live()
	d.wantText("Safari on iOS")
	d.lookAt("devices")
	d.open("/password")
	d.wantHeading("Change your password")
	d.lookAt("password")
	pgtest.AgeLogins(t, pgtest.Pool(t, databaseURL))
	d.open("/password")
	d.wantHeading("Is it you?")
	d.lookAt("confirm")

	d.expect("422")
	d.do(chromedp.SendKeys(chromedp.CSS("#password"), "not the password"))
	d.follow(".stack button")
	d.wantText("That is not the password of Ada.")
	d.lookAt("refused")
}

// The pages of the second factor, and a login with it.
func TestSlowThePagesOfASecondFactor(t *testing.T) {
	begin(t)
	databaseURL := pgtest.Database(t)
	s := front(t, production, withSecret, "DATABASE_URL="+databaseURL)
	d, other := laptop(t, s), phone(t, s)
	d.login("Ada")
	d.open("/password")
	d.follow(`button[value="begin"]`)
	d.lookAt("secret")
	secret := ask[string](d, `document.getElementById("secret").innerText`)
	d.do(chromedp.SendKeys(chromedp.CSS("#code"), testkit.Code(t, secret)))
	d.follow(`button[value="add"]`)
	d.wantText("From now on a login needs a code, too.")
	d.open("/password")
	d.wantText("A login needs your password and a code.")
	d.lookAt("factor")
	// The code of this half minute is used up.
	pool := pgtest.Pool(t, databaseURL)
	unused := func() { pgtest.Exec(t, pool, "UPDATE webapp.factors SET step = 0") }
	unused()

	other.open("/")
	other.do(chromedp.SendKeys(chromedp.CSS("#name"), "Ada"),
		chromedp.SendKeys(chromedp.CSS("#password"), password))
	other.follow(".login button")
	other.wantHeading("One more step")
	other.lookAt("code")
	d.open("/devices")
	d.live()
	d.wantText("waiting for the code")
	d.lookAt("pending")

	other.expect("422")
	other.do(chromedp.SendKeys(chromedp.CSS("#code"), "12345"))
	other.follow(".primary")
	other.wantText("That is not the current code.")
	other.do(chromedp.SendKeys(chromedp.CSS("#code"), testkit.Code(t, secret)))
	other.follow(".primary")
	other.wantHeading("Hello, Ada.")
	d.open("/devices")
	d.live()
	d.lookAt("two-factors")

	pgtest.AgeLogins(t, pgtest.Pool(t, databaseURL))
	unused()
	d.expect("403")
	d.open("/devices")
	d.live()
	d.follow(".danger")
	d.wantHeading("Is it you?")
	d.lookAt("confirm-code")
	d.do(chromedp.SendKeys(chromedp.CSS("#code"), testkit.Code(t, secret)))
	d.follow(".primary")
	d.wantHeading("Your devices")
	d.live()
	d.follow(".danger")
	d.wantText("One device is logged out.")
}

func TestSlowThePagesWithoutADatabase(t *testing.T) {
	begin(t)
	d := laptop(t, front(t, development))
	d.open("/")
	d.wantText("Sessions end with this process.")
	d.do(chromedp.SendKeys(chromedp.CSS("#name"), "Ada"))
	d.follow(".login button")
	d.wantHeading("Hello, Ada.")
	d.lookAt("memory")
	d.open("/devices")
	d.live()
	d.wantText("You are logged in nowhere else.")
	d.open("/password")
	d.wantText("That needs a database")
	d.lookAt("memory-password")
}

func TestSlowThePagesInAnEmergency(t *testing.T) {
	begin(t)
	s := front(t, development, "DATABASE_URL=postgres://nobody@127.0.0.1:1/nothing?sslmode=disable")
	d := laptop(t, s)
	d.open("/")
	d.wantText("Postgres is unavailable.")
	d.lookAt("emergency")
	d.open("/operator")
	d.wantText("emergency")
	d.expect("503")
	d.open("/")
	d.do(chromedp.SendKeys(chromedp.CSS("#name"), "Ada"),
		chromedp.SendKeys(chromedp.CSS("#password"), password))
	d.follow(".login button")
	d.wantHeading("Sessions are out of reach")
	d.lookAt("failure")
}

// The page updates its figures by itself.
func TestSlowTheOperatorsPageGoesOn(t *testing.T) {
	begin(t)
	d := laptop(t, front(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t)))
	d.open("/operator")
	d.do(chromedp.Evaluate[chromedp.Void](`document.getElementById("figures").old = true`))
	d.until(
		`!document.getElementById("figures").old && document.querySelectorAll("figure").length > 5`)
}

// A script that got into a page, in a name or otherwise, does not run.
func TestSlowScriptsOfOthersDoNotRun(t *testing.T) {
	begin(t)
	d := laptop(t, front(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t)))
	d.login(`<img src=x onerror="window.ran = 1">`)
	d.open("/devices")
	if ask[bool](d, `"ran" in window`) {
		t.Error("a name has run as a script")
	}

	d.expect("Content Security Policy")
	d.expect("status of 404") // the picture that is to fail, so that its script would run
	far := publish(t, http.NotFoundHandler())
	d.expect("a request to " + far.url("/")) // which is announced, and then not sent
	d.do(chromedp.Evaluate[chromedp.Void](`(() => {
		document.addEventListener("securitypolicyviolation", () => { window.refused = (window.refused ?? 0) + 1; });
		const script = document.createElement("script");
		script.textContent = "window.ran = 1";
		document.body.append(script);
		document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="window.ran = 1">');
		const far = document.createElement("img");
		far.src = "` + far.url("/picture") + `";
		document.body.append(far);
	})()`))
	d.until(`window.refused === 3`)
	if ask[bool](d, `"ran" in window`) {
		t.Error("an inline script runs")
	}
	if far.asked() {
		t.Error("a page asks another site for a picture")
	}
}
