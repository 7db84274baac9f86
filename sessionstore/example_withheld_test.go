package sessionstore_test

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

func account(w http.ResponseWriter, r *http.Request) {
	if sessionstore.ServeWithheld(w, r) {
		return // the browser repeats the request with its cookie
	}
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	fmt.Fprintln(w, "account of", s.UserID())
}

// signIn is the router of the sign-in. The provider posts to /callback from
// another site: the state in the cookie stands for the check of the origin.
func signIn(sessions *sessionstore.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /begin", begin)
	mux.HandleFunc("POST /callback", callback)
	mux.HandleFunc("GET /account", account)
	protection := http.NewCrossOriginProtection()
	protection.AddInsecureBypassPattern("POST /callback")
	return protection.Handler(sessions.Handler(mux))
}

// begin redirects the browser to the provider, which answers with a form post.
func begin(w http.ResponseWriter, r *http.Request) {
	state := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: "__Host-signin", Value: state, Path: "/", MaxAge: 600, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteNoneMode,
	})
	http.Redirect(w, r, "https://login.example/authorize?response_mode=form_post&state="+state,
		http.StatusSeeOther)
}

// callback receives that form without the Strict session cookie: the session is
// withheld. Login starts a session all the same.
func callback(w http.ResponseWriter, r *http.Request) {
	state, err := r.Cookie("__Host-signin")
	if err != nil ||
		subtle.ConstantTimeCompare([]byte(state.Value), []byte(r.PostFormValue("state"))) != 1 {
		http.Error(w, "This sign-in did not begin here. Please begin again.", http.StatusForbidden)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: "__Host-signin", Path: "/", MaxAge: -1, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteNoneMode,
	})
	s, err := sessionstore.FromContext(r.Context())
	if err == nil {
		user, at := proofOf(r.PostFormValue("code")) // and when the provider proved it
		err = s.Login(r.Context(), user, sessionstore.DropValues,
			sessionstore.AuthenticatedBy(1, "saml"), sessionstore.ProvedAt(at))
	}
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

// proofOf stands for the exchange of the code at the provider.
func proofOf(code string) (user string, at time.Time) {
	return strings.TrimPrefix(code, "code-of-"), time.Now()
}

// A provider posts its answer from another site, so the browser withholds the
// Strict cookie. ServeWithheld has the browser repeat the request with it.
func ExampleServeWithheld() {
	memory := sessionstore.NewMemory(sessionstore.Config{}.Expiry(), 0)
	sessions, err := sessionstore.NewWithStore(memory, sessionstore.Config{
		Secrets: []sessionstore.Secret{"an example secret of 32 characters"},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	site := signIn(sessions)
	browser := map[string]string{}
	visit := func(method, path, from, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://shop.example"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, value := range map[string]string{
			"Site": from, "Mode": "navigate", "Dest": "document",
		} {
			r.Header.Set("Sec-Fetch-"+name, value)
		}
		for name, value := range browser {
			if from == "same-origin" || name == "__Host-signin" || method == "GET" &&
				strings.HasSuffix(name, "-set") {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			browser[c.Name] = c.Value
		}
		return w
	}
	provider := visit("GET", "/begin", "same-origin", "").Result().Header.Get("Location")
	to, err := url.Parse(provider)
	if err != nil {
		panic(err)
	}
	form := url.Values{"state": {to.Query().Get("state")}, "code": {"code-of-ada"}}
	fmt.Println(visit("POST", "/callback", "cross-site", form.Encode()).Code)
	page := visit("GET", "/account", "cross-site", "").Body.String()
	fmt.Println(strings.Contains(page, "<script"))
	fmt.Print(visit("GET", "/account", "same-origin", "").Body)
	// Output:
	// 303
	// true
	// account of ada
}
