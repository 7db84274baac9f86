package tasks

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// task 1: set up

func newPgsession(ctx context.Context, cfg sessionstore.Config) (*sessionstore.Manager, error) {
	cfg.IdleTimeout, cfg.AbsoluteTimeout = 20*time.Minute, 12*time.Hour
	cfg.ErrorHandler = showFailure
	return sessionstore.Open(ctx, cfg)
}

func pgsessionRouter(sessions *sessionstore.Manager) http.Handler {
	mux := http.NewServeMux()
	private := sessionstore.RequireLogin(http.HandlerFunc(toLogin))
	mux.Handle("GET /visits", sessionstore.HandlerFunc(countVisit))
	mux.Handle("POST /cart", sessionstore.HandlerFunc(addItem))
	mux.Handle("GET /cart", sessionstore.HandlerFunc(showCart))
	mux.Handle("POST /login", sessionstore.HandlerFunc(logIn))
	mux.Handle("POST /logout", sessionstore.HandlerFunc(logOut))
	mux.Handle("GET /account", private(sessionstore.HandlerFunc(showAccount)))
	mux.Handle("POST /everywhere", private(sessionstore.HandlerFunc(logOutEverywhere)))
	return sessions.Handler(mux)
}

// task 2: read a value and change it

var visits = sessionstore.NewKey[int]("visits")

func countVisit(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
	n, _ := visits.Get(s)
	if err := visits.Set(s, n+1); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "visit ", n+1)
	return err
}

// task 3: keep a list, and a message for the next page

var (
	cart  = sessionstore.NewKey[[]string]("cart")
	flash = sessionstore.NewKey[string]("flash")
)

func addItem(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	items, _ := cart.Get(s)
	err := errors.Join(cart.Set(s, append(items, r.FormValue("item"))),
		flash.Set(s, "It is in the cart."))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
	return nil
}

// task 4: a page of a template, which shows the message once

var cartPage = template.Must(template.New("").Parse(
	`{{with .flash}}{{.}} {{end}}{{range .cart}}{{.}} {{end}}`))

func showCart(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
	values, err := s.Values("flash")
	if err != nil {
		return err
	}
	return cartPage.Execute(w, values)
}

// task 5: log in, and remember

func logIn(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	err := errors.Join(s.Login(r.Context(), r.FormValue("user")),
		s.RememberMe(r.FormValue("remember") == "on"))
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/account", http.StatusSeeOther)
	return nil
}

// task 6: a page for users only

func toLogin(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func showAccount(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
	_, err := fmt.Fprint(w, "account of ", s.UserID())
	return err
}

// task 7: log out

func logOut(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	if err := s.Logout(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// task 8: log a user out everywhere else

func logOutEverywhere(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	_, err := s.RevokeOthers(r.Context())
	return err
}

// task 9: an error page of the application's own

func showFailure(w http.ResponseWriter, _ *http.Request, _ error) {
	http.Error(w, "Please try again later.", http.StatusServiceUnavailable)
}
