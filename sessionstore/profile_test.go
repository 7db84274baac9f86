package sessionstore_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

func TestProfileSetsTheTimeouts(t *testing.T) {
	for _, tt := range []struct {
		profile        sessionstore.Profile
		idle, absolute time.Duration // with the rounding; 0 is no limit
	}{
		{sessionstore.Profile(0), 0, 30 * 24 * time.Hour},
		{sessionstore.AAL1, 0, 30 * 24 * time.Hour},
		{sessionstore.AAL2, time.Hour, 24 * time.Hour},
		{sessionstore.AAL3, 15 * time.Minute, 12 * time.Hour},
	} {
		t.Run(tt.profile.String(), func(t *testing.T) {
			cfg := sessionstore.Config{Profile: tt.profile}
			e := cfg.Expiry()
			expect(t, "absolute timeout", e.Absolute, tt.absolute)
			if tt.idle == 0 {
				expect(t, "idle timeout", e.Idle, 7*24*time.Hour)
			} else {
				expect(t, "idle timeout, rounded up", e.Idle+e.Resolution(), tt.idle)
			}
			expect(t, "deviations", strings.Join(cfg.Deviations(), "; "), "")
		})
	}
}

func TestDeviations(t *testing.T) {
	redis := sessionstore.CacheConfig{UseRedis: true}
	for _, tt := range []struct {
		name string
		cfg  sessionstore.Config
		want string // fields
	}{
		{"no profile", sessionstore.Config{DisableRotateOnLogin: true}, ""},
		{"an hour that is rounded up", sessionstore.Config{
			Profile: sessionstore.AAL2, IdleTimeout: time.Hour,
		}, "IdleTimeout"},
		{"an hour that is not", sessionstore.Config{
			Profile: sessionstore.AAL2, IdleTimeout: time.Hour, DisableSliding: true,
		}, ""},
		{"stricter", sessionstore.Config{
			Profile: sessionstore.AAL2, IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour,
		}, ""},
		{"too long", sessionstore.Config{
			Profile: sessionstore.AAL3, IdleTimeout: 20 * time.Minute,
			AbsoluteTimeout: 13 * time.Hour,
		}, "IdleTimeout AbsoluteTimeout"},
		{"an idle timeout alone", sessionstore.Config{
			Profile: sessionstore.AAL3, IdleTimeout: 24 * time.Hour,
		}, "IdleTimeout AbsoluteTimeout"},
		{"AAL1 for a year", sessionstore.Config{
			Profile: sessionstore.AAL1, AbsoluteTimeout: 365 * 24 * time.Hour,
		}, "AbsoluteTimeout"},
		{"the token", sessionstore.Config{
			Profile: sessionstore.AAL1, DisableRotateOnLogin: true,
		}, "DisableRotateOnLogin"},
		{"the cookie", sessionstore.Config{
			Profile: sessionstore.AAL1, Env: sessionstore.Development,
			Cookie: sessionstore.CookieConfig{SameSite: http.SameSiteNoneMode, Insecure: true},
		}, "Cookie.SameSite Cookie.Insecure"},
		{"a cache", sessionstore.Config{Profile: sessionstore.AAL3, Cache: redis}, ""},
		{"a cache with an emergency's grace", sessionstore.Config{
			Profile: sessionstore.AAL3, Cache: redis,
			Outage: sessionstore.OutageConfig{Grace: time.Minute},
		}, "Cache.Freshness, Outage.Grace"},
		{"a local cache", sessionstore.Config{
			Profile: sessionstore.AAL3,
			Cache:   sessionstore.CacheConfig{LocalFreshness: time.Second},
			Outage:  sessionstore.OutageConfig{Grace: time.Minute},
		}, "Cache.LocalFreshness, Outage.Grace"},
		{"a grace without a cache", sessionstore.Config{
			Profile: sessionstore.AAL3, Outage: sessionstore.OutageConfig{Grace: time.Minute},
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var fields []string
			for _, deviation := range tt.cfg.Deviations() {
				field, _, _ := strings.Cut(deviation, ": ")
				fields = append(fields, field)
			}
			expect(t, "deviations", strings.Join(fields, " "), tt.want)
		})
	}
}

func TestDeviationsAreReported(t *testing.T) {
	site := newSite(t, func(cfg *sessionstore.Config) {
		cfg.Profile, cfg.AbsoluteTimeout = sessionstore.AAL2, 48*time.Hour
	})
	const line = `msg="config deviates from its profile" profile=aal2 ` +
		`deviation="AbsoluteTimeout: a session lasts up to 48h0m0s, more than 24h0m0s"`
	if !strings.Contains(site.log.String(), line) {
		t.Errorf("the log has no line of the deviation: %s", site.log)
	}
	_, answer := site.askHealth()
	expect(t, "profile", answer["profile"], any("aal2"))
	if list, ok := answer["deviations"].([]any); !ok || len(list) != 1 {
		t.Errorf("deviations in health: %v", answer["deviations"])
	}
}

func TestProfileEndsTheCookieWithTheBrowser(t *testing.T) {
	for profile, want := range map[sessionstore.Profile]bool{
		sessionstore.Profile(0): true, sessionstore.AAL1: true,
		sessionstore.AAL2: false, sessionstore.AAL3: false,
	} {
		site := newSite(t, func(cfg *sessionstore.Config) { cfg.Profile = profile })
		resp, _ := site.visit("", func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Login(r.Context(), "ada"))
			site.check(s.RememberMe(true))
		})
		cookie, _ := sessionCookie(resp)
		expect(t, profile.String()+": the cookie outlives the browser", cookie.MaxAge > 0, want)
	}
}

// A site has two Managers with two cookies and one secret. Neither accepts the
// other's cookie, and a browser can be logged in at both.
func TestStaffAndCustomers(t *testing.T) {
	named := func(name string, profile sessionstore.Profile) *site {
		return newSite(t, func(cfg *sessionstore.Config) {
			cfg.Cookie.Name, cfg.Profile = name, profile
		})
	}
	staff := named("__Host-staff", sessionstore.AAL3)
	customers := named("__Host-shop", sessionstore.AAL1)
	router := http.NewServeMux()
	for path, s := range map[string]*site{"/staff": staff, "/shop": customers} {
		router.Handle(path, s.serve(func(
			w http.ResponseWriter, r *http.Request, sess *sessionstore.Session,
		) {
			if user := r.URL.Query().Get("login"); user != "" {
				s.check(sess.Login(r.Context(), user))
			}
			_, _ = w.Write([]byte(sess.UserID()))
		}))
	}
	visit := func(path string, cookies ...*http.Cookie) (string, []*http.Cookie) {
		r := httptest.NewRequest(http.MethodGet, "https://shop.example"+path, nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		return w.Body.String(), w.Result().Cookies()
	}
	_, badge := visit("/staff?login=root")
	_, card := visit("/shop?login=ada")
	both := append(badge, card...)
	for path, want := range map[string]string{"/staff": "root", "/shop": "ada"} {
		user, set := visit(path, both...)
		expect(t, path+" with both cookies", user, want)
		expect(t, path+": cookies that are set", len(set), 0)
	}
	badge[0].Name, card[0].Name = card[0].Name, badge[0].Name
	for _, path := range []string{"/staff", "/shop"} {
		user, _ := visit(path, badge[0], card[0])
		expect(t, path+" with the other's cookie under its own name", user, "")
	}
	if e := staff.m.Health(t.Context()); e.Profile != "aal3" {
		t.Errorf("the staff's profile is %q", e.Profile)
	}
}
