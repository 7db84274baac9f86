package tasks

import (
	"context"
	"encoding/gob"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
)

// task 1: set up

func newSCS(store scs.Store) *scs.SessionManager {
	sessions := scs.New()
	sessions.Store = store
	sessions.IdleTimeout, sessions.Lifetime = 20*time.Minute, 12*time.Hour
	sessions.Cookie.Persist = false
	sessions.Cookie.Secure = true
	sessions.ErrorFunc = scsFailure
	return sessions
}

type scsApp struct{ sessions *scs.SessionManager }

func scsRouter(sessions *scs.SessionManager) http.Handler {
	app, mux := scsApp{sessions}, http.NewServeMux()
	mux.HandleFunc("GET /visits", app.countVisit)
	mux.HandleFunc("POST /cart", app.addItem)
	mux.HandleFunc("GET /cart", app.showCart)
	mux.HandleFunc("POST /login", app.logIn)
	mux.HandleFunc("POST /logout", app.logOut)
	mux.Handle("GET /account", app.private(http.HandlerFunc(app.showAccount)))
	mux.Handle("POST /everywhere", app.private(http.HandlerFunc(app.logOutEverywhere)))
	return sessions.LoadAndSave(mux)
}

// task 2: read a value and change it

func (a scsApp) countVisit(w http.ResponseWriter, r *http.Request) {
	n := a.sessions.GetInt(r.Context(), "visits")
	a.sessions.Put(r.Context(), "visits", n+1)
	fmt.Fprint(w, "visit ", n+1)
}

// task 3: keep a list, and a message for the next page

func init() { gob.Register([]string{}) }

func (a scsApp) addItem(w http.ResponseWriter, r *http.Request) {
	items, _ := a.sessions.Get(r.Context(), "cart").([]string)
	a.sessions.Put(r.Context(), "cart", append(items, r.FormValue("item")))
	a.sessions.Put(r.Context(), "flash", "It is in the cart.")
	http.Redirect(w, r, "/cart", http.StatusSeeOther)
}

// task 4: a page of a template, which shows the message once

var scsCartPage = template.Must(template.New("").Parse(
	`{{with .Flash}}{{.}} {{end}}{{range .Cart}}{{.}} {{end}}`))

func (a scsApp) showCart(w http.ResponseWriter, r *http.Request) {
	var page struct {
		Flash string
		Cart  []string
	}
	page.Flash = a.sessions.PopString(r.Context(), "flash")
	page.Cart, _ = a.sessions.Get(r.Context(), "cart").([]string)
	if err := scsCartPage.Execute(w, page); err != nil {
		a.sessions.ErrorFunc(w, r, err)
	}
}

// task 5: log in, and remember

func (a scsApp) logIn(w http.ResponseWriter, r *http.Request) {
	if err := a.sessions.RenewToken(r.Context()); err != nil {
		a.sessions.ErrorFunc(w, r, err)
		return
	}
	a.sessions.Put(r.Context(), "user", r.FormValue("user"))
	a.sessions.RememberMe(r.Context(), r.FormValue("remember") == "on")
	http.Redirect(w, r, "/account", http.StatusSeeOther)
}

// task 6: a page for users only

func (a scsApp) private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.sessions.Exists(r.Context(), "user") {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a scsApp) showAccount(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, "account of ", a.sessions.GetString(r.Context(), "user"))
}

// task 7: log out

func (a scsApp) logOut(w http.ResponseWriter, r *http.Request) {
	if err := a.sessions.Destroy(r.Context()); err != nil {
		a.sessions.ErrorFunc(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// task 8: log a user out everywhere else

func (a scsApp) logOutEverywhere(w http.ResponseWriter, r *http.Request) {
	user, own := a.sessions.GetString(r.Context(), "user"), a.sessions.Token(r.Context())
	err := a.sessions.Iterate(r.Context(), func(ctx context.Context) error {
		if a.sessions.GetString(ctx, "user") != user || a.sessions.Token(ctx) == own {
			return nil
		}
		return a.sessions.Destroy(ctx)
	})
	if err != nil {
		a.sessions.ErrorFunc(w, r, err)
	}
}

// task 9: an error page of the application's own

func scsFailure(w http.ResponseWriter, _ *http.Request, _ error) {
	http.Error(w, "Please try again later.", http.StatusServiceUnavailable)
}
