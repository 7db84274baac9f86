package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

func TestLookingAroundStoresNothing(t *testing.T) {
	res := newSite(t).visitor(t).get("/")
	res.wants(t, http.StatusOK, "Who are you?", "There is none yet",
		"Sessions end with this process", "memory", "development")
	if res.Header.Get("Set-Cookie") != "" {
		t.Error("a visitor who only looks got a cookie")
	}
}

func TestLoginAndLogout(t *testing.T) {
	v := newSite(t).visitor(t)
	remembered := v.post("/login", url.Values{"name": {"Ada"}, "remember": {"yes"}})
	remembered.wants(t, http.StatusOK, "Hello, Ada.", "Welcome, Ada.", "in 7 days", "in 30 days",
		"just now", "Ends at the latest")
	in := v.post("/login", url.Values{"name": {"  Ada  "}})
	in.wants(t, http.StatusOK, "Hello, Ada.", "Welcome, Ada.", "in 12 hours", "just now")
	if in.Request.Method != http.MethodGet {
		t.Error("the answer to the form is no redirect: reloading would send it again")
	}
	v.get("/api/me").wants(t, http.StatusOK, "Ada")

	out := v.post("/logout", nil)
	out.wants(t, http.StatusOK, "Who are you?", "You are logged out.")
	out.lacks(t, "Ada")
	v.get("/api/me").wants(t, http.StatusUnauthorized)
}

func TestReasonOfTheEndIsShown(t *testing.T) {
	const notice = `class="notice" role="status"`
	for name, tt := range map[string]struct {
		end  func(s *site, id store.ID) error
		want string
	}{
		"logged out": {
			func(s *site, id store.ID) error {
				_, err := s.store.Delete(t.Context(), id)
				return err
			},
			"You were logged out.",
		},
		"expired": {
			func(s *site, id store.ID) error {
				its := func(c fault.Call) bool { return c.ID == id }
				s.store.Inject(fault.Rule{If: its, Err: store.ErrExpired}, store.OpLoad)
				return nil
			},
			"Your session has expired.",
		},
		"replaced": {
			func(s *site, id store.ID) error {
				_, err := s.store.Create(t.Context(), store.Draft{ID: store.ID{1}, UserID: "Ada"})
				if err == nil {
					_, _, err = s.store.Revoke(t.Context(), store.Selection{UserID: "Ada", Keep: 1})
				}
				return err
			},
			"Another login took its place.",
		},
		"revoked": {
			func(s *site, id store.ID) error {
				_, _, err := s.store.Revoke(t.Context(), store.Selection{UserID: "Ada"})
				return err
			},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			v := s.visitor(t)
			v.post("/login", url.Values{"name": {"Ada"}}).lacks(t, notice)
			recs, err := s.store.List(t.Context(), "Ada", store.Page{})
			if err != nil || len(recs) != 1 {
				t.Fatal(recs, err)
			}
			if err := tt.end(s, recs[0].ID); err != nil {
				t.Fatal(err)
			}
			page := v.get("/devices") // leads to the first page
			page.wants(t, http.StatusOK, "Who are you?", tt.want)
			if tt.want == "" {
				page.lacks(t, notice)
			}
			v.post("/login", url.Values{"name": {"Bob"}}).lacks(t, notice)
		})
	}
	newSite(t).visitor(t).get("/").lacks(t, notice)
}

func TestFlashIsShownOnce(t *testing.T) {
	v := newSite(t).visitor(t)
	v.post("/login", url.Values{"name": {"Ada"}}).wants(t, http.StatusOK, `class="flash"`)
	v.get("/").lacks(t, `class="flash"`)
	v.post("/logout", nil).wants(t, http.StatusOK, `class="flash"`)
	v.get("/").lacks(t, `class="flash"`)
}

func TestLoginWithoutANameShowsTheFormAgain(t *testing.T) {
	v := newSite(t).visitor(t)
	res := v.post("/login", url.Values{"name": {"  "}, "remember": {"yes"}})
	res.wants(t, http.StatusUnprocessableEntity, "The name is empty.", `aria-invalid="true"`,
		"checked")
	if res.Header.Get("Set-Cookie") != "" {
		t.Error("a refused login got a cookie")
	}
}

func TestNameIsEscaped(t *testing.T) {
	v := newSite(t).visitor(t)
	const name = `<script>alert("1")</script>`
	in := v.post("/login", url.Values{"name": {name}})
	in.wants(t, http.StatusOK, "Hello, &lt;script&gt;")
	in.lacks(t, "<script")

	refused := v.post("/login", url.Values{"name": {`"><script>` + strings.Repeat("x", 256)}})
	refused.wants(t, http.StatusUnprocessableEntity, "longer than 256 bytes", "&lt;script&gt;xxx")
	refused.lacks(t, "<script")
}

func TestCounterSurvivesLogin(t *testing.T) {
	v := newSite(t).visitor(t)
	const two, three, none = `number">2<`, `number">3<`, `number empty">0<`
	v.post("/counter", nil)
	v.post("/counter", nil).wants(t, http.StatusOK, two)
	v.post("/login", url.Values{"name": {"Ada"}}).wants(t, http.StatusOK, two)
	v.post("/counter", url.Values{"do": {"add"}}).wants(t, http.StatusOK, three)
	v.get("/").wants(t, http.StatusOK, three)
	v.post("/counter", url.Values{"do": {"reset"}}).wants(t, http.StatusOK, none)
	v.post("/counter", nil)
	v.post("/logout", nil).wants(t, http.StatusOK, none)
}

func TestCart(t *testing.T) {
	v := newSite(t).visitor(t)
	v.post("/cart", url.Values{"add": {"Gold"}}).wants(t, http.StatusOK, "There is none yet")
	v.post("/cart", url.Values{"remove": {"Bread"}}).wants(t, http.StatusOK, "There is none yet")
	v.post("/cart", url.Values{"add": {"Bread"}})
	v.post("/cart", url.Values{"add": {"Bread"}})
	v.post("/cart", url.Values{"add": {"Pears"}}).wants(t, http.StatusOK, `count">3<`,
		`Bread in the cart">2<`)
	v.post("/cart", url.Values{"remove": {"Pears"}}).wants(t, http.StatusOK, `count">2<`,
		`Pears in the cart">0<`)
	for range maxQuantity {
		v.post("/cart", url.Values{"add": {"Bread"}})
	}
	v.get("/").wants(t, http.StatusOK, `count">99<`)
}

// A program neither writes nor reads the demo's own values, whatever their
// keys.
func TestProgramsHaveKeysOfTheirOwn(t *testing.T) {
	v := newSite(t).visitor(t)
	v.post("/counter", nil).wants(t, http.StatusOK, `number">1<`)
	v.get("/api/get?k=counter").wants(t, http.StatusNotFound)
	for _, key := range []string{"counter", "cart", "flash", "enrolling"} {
		v.post("/api/set?k="+key+"&v=text", nil).wants(t, http.StatusOK)
		v.get("/api/get?k="+key).wants(t, http.StatusOK, "text")
	}
	if page := v.get("/"); strings.Contains(page.body, `role="status">text<`) {
		t.Error("a program chose the message of the page")
	}
	v.post("/counter", nil).wants(t, http.StatusOK, `number">2<`)
}

// As another version of the demo may have left them.
func TestPageSurvivesValuesOfAnotherType(t *testing.T) {
	v := newSite(t).visitor(t)
	v.post("/counter", nil).wants(t, http.StatusOK, `number">1<`)
	address, err := url.Parse(v.site.url)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	for _, cookie := range v.client.Jar.Cookies(address) {
		r.AddCookie(cookie)
	}
	v.site.sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		for _, key := range []string{"counter", "cart", "enrolling"} {
			if err == nil {
				err = s.Set(key, "text")
			}
		}
		if err != nil {
			t.Error(err)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	v.get("/").wants(t, http.StatusOK, `number empty">0<`)
	v.post("/counter", nil).wants(t, http.StatusOK, `number">1<`)
	v.post("/cart", url.Values{"add": {"Coffee"}}).wants(t, http.StatusOK, `count">1<`)
}

func TestCookieInDevelopment(t *testing.T) {
	for _, row := range []struct {
		why      string
		form     url.Values
		remember bool
	}{
		{"a cookie that ends with the browser", url.Values{"name": {"Ada"}}, false},
		{"a cookie that is remembered", url.Values{"name": {"Ada"}, "remember": {"yes"}}, true},
	} {
		t.Run(row.why, func(t *testing.T) {
			site := newSite(t)
			v := site.visitor(t)
			v.client.CheckRedirect = func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			}
			res := v.post("/login", row.form)
			res.wants(t, http.StatusSeeOther)
			lifetime := 12 * time.Hour
			if row.remember {
				lifetime = 30 * 24 * time.Hour
			}
			infos, err := site.sessions.List(t.Context(), "Ada", sessionstore.Page{})
			if err != nil || len(infos) != 1 ||
				infos[0].AbsoluteExpiresAt.Sub(infos[0].CreatedAt) != lifetime {
				t.Errorf("the session on the server: %+v, %v, want a lifetime of %v",
					infos, err, lifetime)
			}
			cookies := res.Cookies()
			if len(cookies) != 1 {
				t.Fatalf("%d cookies, want 1", len(cookies))
			}
			c := cookies[0]
			if c.Name != "session" || c.Path != "/" || !c.HttpOnly || c.Secure ||
				c.SameSite != http.SameSiteLaxMode || c.Domain != "" {
				t.Errorf("cookie: %s", c)
			}
			if month := int(30 * 24 * time.Hour / time.Second); row.remember && c.MaxAge != month ||
				!row.remember && c.MaxAge != 0 {
				t.Errorf("Max-Age %d", c.MaxAge)
			}
			if strings.Contains(c.Value, "Ada") {
				t.Error("the cookie holds the name")
			}
		})
	}
}

func TestPagesLoadNothingFromElsewhere(t *testing.T) {
	v := newSite(t).visitor(t)
	v.post("/login", url.Values{"name": {"Ada"}}).wants(t, http.StatusOK, "Hello, Ada.")
	for _, path := range []string{"/", "/devices", "/password", "/operator"} {
		page := v.get(path)
		page.wants(t, http.StatusOK)
		policy := page.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") ||
			strings.Contains(policy, "*") {
			t.Errorf("%s: Content-Security-Policy: %q", path, policy)
		}
		if got := page.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control: %q", path, got)
		}
		for _, forbidden := range []string{
			"<style", " style=", " onclick=", "http://", "https://",
		} {
			page.lacks(t, forbidden)
		}
		if inline := regexp.MustCompile(`<script[^>]*>[^<]`).FindString(page.body); inline != "" {
			t.Errorf("%s has an inline script", path)
		}
		links := regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(page.body, -1)
		if len(links) == 0 {
			t.Fatalf("%s has no style", path)
		}
		for _, link := range links {
			asset := v.get(link[1])
			asset.wants(t, http.StatusOK)
			if got := asset.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
				t.Errorf("%s: Cache-Control %q", link[1], got)
			}
		}
	}
	v.get("/assets/none.css").wants(t, http.StatusNotFound)
	v.get("/favicon.ico").wants(t, http.StatusOK, "<svg")
}

func TestWords(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0:                               "less than a minute",
		59*time.Second + 500000000:      "1 minute",
		90 * time.Second:                "2 minutes",
		59*time.Minute + 58*time.Second: "1 hour",
		time.Hour:                       "1 hour",
		26 * time.Hour:                  "1 day",
		7*day + 30*time.Minute:          "7 days",
		30*day - 2*time.Second:          "30 days",
	} {
		if got := words(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
