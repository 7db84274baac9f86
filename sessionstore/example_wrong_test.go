package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"github.com/reporadar/pgsession/sessionstore"
)

// developing returns a Manager that keeps its sessions in memory and logs
// nothing.
func developing() *sessionstore.Manager {
	sessions, err := sessionstore.Open(context.Background(), sessionstore.Config{
		Env:      sessionstore.Development,
		Observer: func(context.Context, sessionstore.Event) {},
	})
	if err != nil {
		log.Fatal(err)
	}
	return sessions
}

// Wrong: the handler writes its page, and logs the user in afterwards. The
// cookie belongs before the body, so the login fails, and so does the first
// value of a visitor. Change the session first, or render into a buffer.
//
// A router's own writer can send the first byte early as well. The repository's
// integration/gin/gin_test.go shows which middleware does.
func Example_wrongLateWrite() {
	sessions := developing()
	defer sessions.Close()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			sessionstore.ServeError(w, r, err)
			return
		}
		fmt.Fprint(w, "Welcome!") // wrong: the response begins here
		err = s.Login(r.Context(), "ann")
		fmt.Println("login too late:", errors.Is(err, sessionstore.ErrHeadersSent))
		err = s.Set("seen", true)
		fmt.Println("value too late:", errors.Is(err, sessionstore.ErrHeadersSent))
	})
	w := httptest.NewRecorder()
	sessions.Handler(handler).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/login", nil))
	fmt.Println("status:", w.Code, "cookies:", len(w.Result().Cookies()))
	// Output:
	// login too late: true
	// value too late: true
	// status: 200 cookies: 0
}

// Wrong: the session of a context that is not this request's. A background
// context has none, and that of a request which has ended has none any more.
// Pass r.Context(); copy the values that a goroutine needs after the request.
func Example_wrongContext() {
	sessions := developing()
	defer sessions.Close()
	var kept context.Context
	handler := sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := sessionstore.FromContext(context.Background()) // wrong
		fmt.Println("no request:", errors.Is(err, sessionstore.ErrNoMiddleware))
		if kept != nil {
			_, err = sessionstore.FromContext(kept) // wrong: another request's
			fmt.Println("another request:", errors.Is(err, sessionstore.ErrRequestEnded))
		}
		kept = r.Context()
		_, err = sessionstore.FromContext(r.Context())
		fmt.Println("this request:", err)
	}))
	for range 2 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}
	// Output:
	// no request: true
	// this request: <nil>
	// no request: true
	// another request: true
	// this request: <nil>
}

// Wrong: the level is kept outside of the session. The user's next login, by a
// password alone, has a lower one, and the copy still has the higher one. Ask
// [sessionstore.Session.Level] or [sessionstore.Session.Authenticated] in each
// request.
func Example_wrongCachedLevel() {
	sessions := developing()
	defer sessions.Close()
	levels := map[string]int{} // wrong: by user, for all their logins
	login := func(level int, method string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s, err := sessionstore.FromContext(r.Context())
			if err == nil {
				err = s.Login(r.Context(), "ann", sessionstore.AuthenticatedBy(level, method))
			}
			if err != nil {
				sessionstore.ServeError(w, r, err)
				return
			}
			levels["ann"] = max(levels["ann"], level)
			fmt.Println(method, "- cached:", levels["ann"], "session:", s.Level())
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/passkey", login(2, "passkey"))
	mux.Handle("/password", login(1, "password"))
	server := httptest.NewServer(sessions.Handler(mux))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	for _, path := range []string{"/passkey", "/password"} {
		resp, err := browser.Get(server.URL + path)
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
	}
	// Output:
	// passkey - cached: 2 session: 2
	// password - cached: 2 session: 1
}
