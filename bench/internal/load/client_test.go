package load

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// server answers a GET with the result of reply for the name in the cookie.
func server(t *testing.T, reply func(name string) (int, string)) string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "who", Value: r.URL.Query().Get("user")})
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("who")
		if err != nil {
			http.Error(w, "no cookie", http.StatusBadRequest)
			return
		}
		status, body := reply(cookie.Value)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func connect(t *testing.T, address string) (Clients, []Session) {
	t.Helper()
	clients, err := Connect(address, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clients.Close() })
	var sessions []Session
	for _, name := range []string{"ann", "bob"} {
		s, err := clients[0].Login(name)
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, s)
	}
	return clients, sessions
}

func TestGetsOfTheRightUser(t *testing.T) {
	clients, sessions := connect(t, server(t, func(name string) (int, string) { return 200, name }))
	rate, all, err := clients.Gets(t.Context(), 50*time.Millisecond, sessions)
	if err != nil || rate <= 0 || float64(all) < rate*0.05 {
		t.Errorf("%v, %v, %v", rate, all, err)
	}
	rate, all, err = clients.Logins(t.Context(), 50*time.Millisecond,
		func(int) string { return "eve" })
	if err != nil || rate <= 0 || float64(all) < rate*0.05 {
		t.Errorf("logins: %v, %v, %v", rate, all, err)
	}
}

func TestAWrongAnswerEndsTheRun(t *testing.T) {
	for name, reply := range map[string]func(string) (int, string){
		"another user":        func(string) (int, string) { return 200, "eve" },
		"an empty name":       func(string) (int, string) { return 200, "" },
		"an error":            func(name string) (int, string) { return 503, name },
		"a redirect to login": func(name string) (int, string) { return 303, name },
	} {
		clients, sessions := connect(t, server(t, reply))
		if _, _, err := clients.Gets(t.Context(), 50*time.Millisecond, sessions); err == nil {
			t.Errorf("%s went unnoticed", name)
		}
	}
}

func TestALoginWithoutACookieFails(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	c, err := Dial(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Login("ann"); err == nil {
		t.Error("a login that sets no cookie passed")
	}
}
