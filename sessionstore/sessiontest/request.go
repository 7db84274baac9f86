package sessiontest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// Option changes the session of a request before the test makes it. [User] and
// [Value] return one; any other is a function:
//
//	remember := func(_ context.Context, s *sessionstore.Session) error {
//		return s.RememberMe(true)
//	}
type Option func(ctx context.Context, s *sessionstore.Session) error

// User logs a user in, with the options of [sessionstore.Session.Login].
func User(userID string, opts ...sessionstore.LoginOption) Option {
	return func(ctx context.Context, s *sessionstore.Session) error {
		return s.Login(ctx, userID, opts...)
	}
}

// Value sets a value.
func Value[T any](k sessionstore.Key[T], v T) Option {
	return func(_ context.Context, s *sessionstore.Session) error { return k.Set(s, v) }
}

// Request returns a request as [httptest.NewRequest] does, with the cookie of a
// new session that has the options applied in order. Without options it is a
// visitor's, without a cookie.
//
// With [sessionstore.Config.Bearer] it is the request of a program, with the
// session's token in the header Authorization.
func (m *Manager) Request(
	t testing.TB, method, target string, body io.Reader, opts ...Option,
) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, target, body)
	m.AddSession(t, r, opts...)
	return r
}

// AddSession applies options to the session of a request, as an earlier request
// of the same client would, and gives the request the cookies of the answer, or
// its token. It serves requests that a test has made itself, such as those of
// an [http.Client].
func (m *Manager) AddSession(t testing.TB, r *http.Request, opts ...Option) {
	t.Helper()
	if len(opts) == 0 {
		return
	}
	before := before(r)
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		for i := 0; i < len(opts) && err == nil; i++ {
			err = opts[i](r.Context(), s)
		}
		if err == nil {
			err = s.Save(r.Context())
		}
		if err != nil {
			t.Errorf("sessiontest: %v", err)
			w.WriteHeader(http.StatusInternalServerError)
		}
	})).ServeHTTP(w, before)
	if w.Code != http.StatusOK {
		t.FailNow()
	}
	m.follow(r, before, w.Result())
}

// before returns a request of the client that sends r, with the cookies or the
// token of r and from the same address.
func before(r *http.Request) *http.Request {
	ctx := context.WithoutCancel(r.Context()) // of a client that has its answer
	b := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)
	b.URL, b.Host, b.TLS = r.URL, r.Host, r.TLS
	if b.RemoteAddr = r.RemoteAddr; b.RemoteAddr == "" {
		b.RemoteAddr = "127.0.0.1:1234" // that of a client in the same process
	}
	for _, name := range []string{"Authorization", "Cookie", "User-Agent"} {
		if lines, ok := r.Header[name]; ok {
			b.Header[name] = lines
		}
	}
	return b
}

// follow gives next what a client has after a response to r: the token of a
// program, or the cookies of a browser.
func (m *Manager) follow(next, r *http.Request, resp *http.Response) {
	if m.bearer {
		if token := resp.Header.Get("Session-Token"); token != "" {
			next.Header.Set("Authorization", "Bearer "+token)
		}
		return
	}
	next.Header.Del("Cookie")
	set := map[string]bool{}
	for _, c := range resp.Cookies() {
		set[c.Name] = true
	}
	for _, c := range r.Cookies() {
		if !set[c.Name] {
			next.AddCookie(c)
		}
	}
	for _, c := range resp.Cookies() {
		if c.MaxAge >= 0 {
			next.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
}
