// Command login is a site with a login: a form, a page that greets its user, a
// message that is shown once, and a logout.
package main

import (
	"bytes"
	"context"
	"errors"
	"html/template"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

const addr = "127.0.0.1:8080"

var flash = sessionstore.NewKey[string]("flash")

var page = template.Must(template.New("page").Parse(`<!doctype html>
<p>{{.Flash}}</p>
{{if .User}}<p>Hello, {{.User}}.</p>
<form method="post" action="/logout"><button>Log out</button></form>
{{else}}<form method="post" action="/login">
<input name="user"> <input name="password" type="password"> <button>Log in</button></form>{{end}}`))

func home(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	if sessionstore.ServeWithheld(w, r) {
		return nil // a link of another site: the browser asks again, with its cookie
	}
	message, _, err := flash.Pop(s) // reads and removes it
	if err != nil {
		return err
	}
	var html bytes.Buffer // the session is saved before the first byte
	if err := page.Execute(&html, struct{ Flash, User string }{message, s.UserID()}); err != nil {
		return err
	}
	_, err = html.WriteTo(w)
	return err
}

func login(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	user := r.FormValue("user")
	if !passwordIsRight(user, r.FormValue("password")) {
		http.Error(w, "The name or the password is wrong.", http.StatusUnauthorized)
		return nil
	}
	if err := s.Login(r.Context(), user, sessionstore.DropValues,
		sessionstore.AuthenticatedBy(1, "password")); err != nil {
		return err
	}
	if err := flash.Set(s, "You are logged in."); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

func logout(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	if err := s.Logout(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// passwordIsRight stands for the users of an application.
func passwordIsRight(user, password string) bool {
	return user == "ada" && password == "analytical"
}

func newSite(sessions *sessionstore.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", sessionstore.HandlerFunc(home))
	mux.Handle("POST /login", sessionstore.HandlerFunc(login))
	mux.Handle("POST /logout", sessionstore.HandlerFunc(logout))
	// It refuses forms that other sites send (CSRF).
	return http.NewCrossOriginProtection().Handler(sessions.Handler(mux))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := sessionstore.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := sessionstore.Open(ctx, cfg)
	if err != nil {
		log.Fatal(err)
	}
	go sessions.Run(ctx) // prunes expired sessions

	server := &http.Server{
		Addr: addr, Handler: newSite(sessions), ReadHeaderTimeout: 10 * time.Second,
	}
	done := make(chan error, 1)
	go func() { <-ctx.Done(); done <- server.Shutdown(context.Background()) }()
	if cfg.Env == sessionstore.Development {
		log.Print("http://", addr)
		err = server.ListenAndServe()
	} else { // the cookie needs https
		log.Print("https://", addr)
		err = server.ListenAndServeTLS("cert.pem", "key.pem")
	}
	if !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := errors.Join(<-done, sessions.Close()); err != nil { // Close writes the last uses
		log.Print(err)
	}
}
