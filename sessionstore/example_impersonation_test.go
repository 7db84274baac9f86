package sessionstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// impersonator is the member of support that uses the session.
var impersonator = sessionstore.NewKey[string]("impersonator")

// audit stands for the application's log.
var audit = slog.New(slog.DiscardHandler)

// impersonate logs support in as a user, at level 0.
func impersonate(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	staff, user := s.UserID(), r.PathValue("user")
	if !isSupport(staff) || isSupport(user) || !s.Authenticated(2, 10*time.Minute) {
		http.Error(w, "Support acts as a user only after a second factor.", http.StatusForbidden)
		return
	}
	err = s.Login(r.Context(), user, sessionstore.AuthenticatedBy(0, "support"),
		sessionstore.WithTags(sessionstore.NewTag("impersonator", staff)))
	if err == nil {
		err = impersonator.Set(s, staff)
	}
	if err == nil {
		err = s.Save(r.Context()) // before the line that says so
	}
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	audit.InfoContext(r.Context(), "impersonation began",
		"actor", staff, "user_id", user, "login_id", s.LoginID())
}

// endImpersonation logs out. The event names the member of support as the
// actor.
func endImpersonation(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	staff, err := impersonator.Get(s)
	if err == nil {
		err = s.Logout(sessionstore.WithActor(r.Context(), staff, "impersonation ended"))
	}
	if err != nil {
		sessionstore.ServeError(w, r, err)
	}
}

// dismiss ends all sessions of a member of support as users.
// The event names the boss as the actor.
func dismiss(ctx context.Context, sessions *sessionstore.Manager, boss, staff string) error {
	_, err := sessions.RevokeTag(sessionstore.WithActor(ctx, boss, "left support"),
		sessionstore.NewTag("impersonator", staff))
	return err
}

// isSupport stands for the application's roles.
func isSupport(userID string) bool { return userID == "jo" }

// A member of support uses the site as a user. The user sees that session in
// the list of devices, and what needs a password stays closed to it.
func ExampleWithActor() {
	sessions, err := sessionstore.Open(context.Background(), sessionstore.Config{
		Env:    sessionstore.Development,
		Logger: slog.New(slog.DiscardHandler),
		Observer: func(_ context.Context, e sessionstore.Event) {
			fmt.Print(e.Kind)
			if e.UserID != "" {
				fmt.Print(": user ", e.UserID)
			}
			if e.Actor != "" {
				fmt.Print(", actor ", e.Actor)
			}
			if e.Detail != "" {
				fmt.Print(", ", e.Detail)
			}
			fmt.Println()
		},
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if s, err := sessionstore.FromContext(r.Context()); err != nil || s.Login(r.Context(), "jo",
			sessionstore.AuthenticatedBy(1, "password"),
			sessionstore.AuthenticatedBy(2, "passkey")) != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("POST /impersonate/{user}", impersonate)
	mux.HandleFunc("POST /impersonate/end", endImpersonation)
	mux.Handle("GET /password", sessionstore.RequireAuth(1, time.Hour, nil)(
		http.NotFoundHandler()))
	site := sessions.Handler(mux)

	var cookie *http.Cookie
	request := func(method, path string) int {
		r := httptest.NewRequest(method, path, nil)
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			if cookie = c; c.MaxAge < 0 { // deleted by the logout
				cookie = nil
			}
		}
		_ = sessions.Flush(context.Background())
		return w.Code
	}
	request("POST", "/login")
	request("POST", "/impersonate/ada")
	devices, _ := sessions.List(context.Background(), "ada", sessionstore.Page{})
	fmt.Println("ada sees a session by", devices[0].Methods[0].Name)
	fmt.Println("the page of the password:", request("GET", "/password"))
	request("POST", "/impersonate/end")

	request("POST", "/login")
	request("POST", "/impersonate/eve")
	_ = dismiss(context.Background(), sessions, "kim", "jo")
	_ = sessions.Close()
	// Output:
	// session login: user jo
	// session logout: user jo, actor jo
	// session login: user ada
	// ada sees a session by support
	// the page of the password: 401
	// session logout: user ada, actor jo, impersonation ended
	// session login: user jo
	// session logout: user jo, actor jo
	// session login: user eve
	// sessions revoked, actor kim, left support
}
