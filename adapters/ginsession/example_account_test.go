package ginsession_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/reporadar/pgsession/adapters/ginsession"
	"github.com/reporadar/pgsession/sessionstore"
)

// users guards a group of pages: it redirects visitors to the login. A link of
// another site brings no cookie, so it is repeated first.
var users = ginsession.Handler(func(c *gin.Context, s *sessionstore.Session) error {
	switch {
	case sessionstore.ServeWithheld(c.Writer, c.Request):
		c.Abort()
	case s.UserID() == "":
		c.Redirect(http.StatusSeeOther, "/login")
		c.Abort()
	}
	return nil
})

// newSite is the handler of an http.Server. It refuses forms that other sites
// send (CSRF).
func newSite(sessions *sessionstore.Manager) http.Handler {
	router := gin.New()
	router.Use(gin.Recovery(), ginsession.New(sessions))
	router.POST("/login", ginsession.Handler(login))
	account := router.Group("/account", users)
	account.GET("", ginsession.Handler(greet))
	return http.NewCrossOriginProtection().Handler(router)
}

func login(c *gin.Context, s *sessionstore.Session) error {
	// An application checks a password before.
	if err := s.Login(c.Request.Context(), "ada", sessionstore.DropValues); err != nil {
		return err
	}
	c.Redirect(http.StatusSeeOther, "/account")
	return nil
}

func greet(c *gin.Context, s *sessionstore.Session) error {
	c.String(http.StatusOK, "account of %s", s.UserID())
	return nil
}

// A group of pages is for users only, and no other site can send its forms.
func Example_users() {
	sessions, err := sessionstore.Open(context.Background(), sessionstore.Config{
		Secrets: []sessionstore.Secret{"an example secret of 32 characters"},
		Env:     sessionstore.Development, Cookie: sessionstore.CookieConfig{
			SameSite: http.SameSiteStrictMode,
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()
	site := newSite(sessions)

	request := func(method, path, from string, cookies ...*http.Cookie) []*http.Cookie {
		r := httptest.NewRequest(method, path, nil)
		for name, value := range map[string]string{
			"Site": from, "Mode": "navigate", "Dest": "document",
		} {
			r.Header.Set("Sec-Fetch-"+name, value)
		}
		for _, c := range cookies {
			if from == "same-origin" || strings.HasSuffix(c.Name, "-set") {
				r.AddCookie(c)
			}
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		answer := w.Header().Get("Location")
		if answer == "" {
			answer = strings.TrimSpace(w.Body.String())
		}
		switch {
		case w.Code == http.StatusForbidden:
			answer = "not here"
		case strings.Contains(answer, "<script"):
			answer = "a page that asks again"
		}
		fmt.Println(method, path, from+":", w.Code, answer)
		return w.Result().Cookies()
	}
	request("GET", "/account", "same-origin")
	cookies := request("POST", "/login", "same-origin")
	request("GET", "/account", "cross-site", cookies...)
	request("GET", "/account", "same-origin", cookies...)
	request("POST", "/login", "cross-site") // CrossOriginProtection
	// Output:
	// GET /account same-origin: 303 /login
	// POST /login same-origin: 303 /account
	// GET /account cross-site: 200 a page that asks again
	// GET /account same-origin: 200 account of ada
	// POST /login cross-site: 403 not here
}
