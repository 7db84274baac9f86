package sessionstore_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// The page of the reference names each cookie with its attributes, and each
// header that a response has of the library.
func TestTheHTTPPage(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/http.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	sessions, err := sessionstore.NewWithStore(
		sessionstore.NewMemory(sessionstore.Config{}.Expiry(), 0), sessionstore.Config{
			Secrets: []sessionstore.Secret{"a secret of a test, with 32 characters"},
			Privacy: sessionstore.PrivacyConfig{ClearSiteData: true},
		})
	if err != nil {
		t.Fatal(err)
	}
	// Each handler makes headers of another row.
	handlers := map[string]func(http.ResponseWriter, *http.Request, *sessionstore.Session) error{
		"login": func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			return s.Login(r.Context(), "ada")
		},
		"logout": func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			if err := s.Login(r.Context(), "ada"); err != nil {
				return err
			}
			if err := s.Save(r.Context()); err != nil {
				return err
			}
			return s.Logout(r.Context())
		},
		"look": func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
			_ = s.UserID()
			return nil
		},
		"fail": func(http.ResponseWriter, *http.Request, *sessionstore.Session) error {
			return sessionstore.ErrUnavailable
		},
	}
	value := regexp.MustCompile(`=v1\.[^;]*`)
	for name, handler := range handlers {
		w := httptest.NewRecorder()
		sessions.Handler(sessionstore.HandlerFunc(handler)).ServeHTTP(w,
			httptest.NewRequest(http.MethodPost, "https://shop.example/", nil))
		for header, lines := range w.Header() {
			if strings.HasPrefix(header, "X-") || header == "Content-Type" {
				continue // of http.Error
			}
			for _, line := range lines {
				want := "| `" + header + ": " + line + "` |"
				if header == "Set-Cookie" {
					if strings.Contains(line, "Max-Age=0") {
						continue
					}
					cookie, attributes, _ := strings.Cut(value.ReplaceAllString(line, ""), "; ")
					want = "| `" + cookie + "` |"
					if cookie == "__Host-session" &&
						!strings.Contains(page, "`"+attributes+"`") {
						t.Errorf("%s: the page lacks the attributes %s", name, attributes)
					}
				}
				if !strings.Contains(page, want) {
					t.Errorf("%s: the page lacks %s", name, want)
				}
			}
		}
		if name == "fail" && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", name, w.Code)
		}
	}
}
