package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const testTimeout = time.Minute // that no test reaches

var errBroken = errors.New("the shop is broken")

// form returns a page of a site that is a HandlerFunc.
func (s *site) form(f sessionstore.HandlerFunc) http.Handler { return s.m.Handler(f) }

// textOf returns the body of a response.
func textOf(resp *http.Response) string {
	body, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(body))
}

func TestHandlerFunc(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	resp, cookie := visit(site.form(
		func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			if err := s.Login(r.Context(), "ada"); err != nil {
				return err
			}
			_, err := io.WriteString(w, "hello")
			return err
		}))
	expect(t, "status", resp.StatusCode, http.StatusOK)
	expect(t, "body", textOf(resp), "hello")
	expect(t, "session", site.look(cookie), "user=ada")
	expect(t, "log", strings.Contains(site.log.String(), "handler failed"), false)
}

// An error before the first byte is answered, and what was changed is
// discarded, but for a logout and for what was saved.
func TestHandlerFuncThatFails(t *testing.T) {
	t.Parallel()
	fail := func(err error) sessionstore.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			_ = s.Set("saved", 1)
			if err := s.Save(r.Context()); err != nil {
				return err
			}
			_ = s.Set("lost", 1)
			w.Header().Set("Content-Type", "application/pdf")
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
			w.Header().Set("Cache-Control", "public")
			http.SetCookie(w, &http.Cookie{Name: "extra", Value: "1"})
			return err
		}
	}
	for _, tt := range []struct {
		err    error
		status int
		logged bool
	}{
		{errBroken, http.StatusInternalServerError, true},
		{fmt.Errorf("login: %w", sessionstore.ErrRevoked), http.StatusForbidden, false},
		{sessionstore.ErrUnavailable, http.StatusServiceUnavailable, false},
		{sessionstore.ErrNotLoggedIn, http.StatusUnauthorized, false},
	} {
		site := newSite(t)
		cookie := site.user("ada")
		resp, _ := visit(site.form(fail(tt.err)), cookie)
		name := tt.err.Error()
		expect(t, name+": status", resp.StatusCode, tt.status)
		expect(t, name+": values", site.look(cookie, "saved", "lost"), "user=ada saved")
		expect(t, name+": extra cookie", strings.Contains(
			strings.Join(resp.Header["Set-Cookie"], "\n"), "extra"), false)
		expect(t, name+": type", resp.Header.Get("Content-Type"), "text/plain; charset=utf-8")
		expect(t, name+": caching", resp.Header.Get("Cache-Control"), "no-store")
		expect(t, name+": policy", resp.Header.Get("Content-Security-Policy"),
			"default-src 'none'")
		expect(t, name+": body has the error", strings.Contains(textOf(resp), name), false)
		expect(t, name+": logged", strings.Contains(site.log.String(),
			`level=ERROR msg="handler failed" error="`+name), tt.logged)
	}

	site := newSite(t)
	cookie := site.user("ada")
	visit(site.form(func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
		_ = s.Logout(r.Context())
		return errBroken
	}), cookie)
	expect(t, "after a logout", site.look(cookie), "no session")
}

// The application's own ErrorHandler answers, may keep a message, and logs what
// it likes.
func TestHandlerFuncWithAnErrorHandler(t *testing.T) {
	t.Parallel()
	var got error
	site := newSite(t, func(c *sessionstore.Config) {
		c.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
			got = err
			if s, err := sessionstore.FromContext(r.Context()); err == nil {
				_ = s.Set("flash", "It did not work.")
			}
			http.Redirect(w, r, "/", http.StatusSeeOther)
		}
	})
	cookie := site.user("ada")
	broken := site.form(
		func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
			_ = s.Set("lost", 1)
			return errBroken
		})
	resp, _ := visit(broken, cookie)
	expect(t, "status", resp.StatusCode, http.StatusSeeOther)
	expect(t, "error", got, errBroken)
	expect(t, "values", site.look(cookie, "flash", "lost"), "user=ada flash")

	site.store.Down(store.OpLoad)
	resp, _ = visit(broken, cookie)
	site.store.Up()
	expect(t, "status of a load that fails", resp.StatusCode, http.StatusSeeOther)
	expect(t, "its error", errors.Is(got, sessionstore.ErrUnavailable), true)

	silent := newSite(t, func(c *sessionstore.Config) {
		c.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}
	})
	resp, _ = visit(silent.form(alwaysBroken))
	expect(t, "status of an ErrorHandler that sends nothing", resp.StatusCode,
		http.StatusInternalServerError)
}

func alwaysBroken(http.ResponseWriter, *http.Request, *sessionstore.Session) error {
	return errBroken
}

// The session can't be saved: the client has the answer of that, once, and the
// error that the handler gets from its write is no second one.
func TestHandlerFuncWhoseSessionIsNotSaved(t *testing.T) {
	t.Parallel()
	answers := 0
	site := newSite(t, func(c *sessionstore.Config) {
		c.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
			answers++
			sessionstore.ServeError(w, r, err)
		}
	})
	cookie := site.user("ada")
	server := httptest.NewServer(site.form(
		func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
			_ = s.Set("cart", 1)
			_, err := io.WriteString(w, "saved")
			return err
		}))
	defer server.Close()
	site.store.Down(store.OpSave)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
	expect(t, "body", textOf(resp), "The session store is unavailable. Please try again.")
	expect(t, "answers", answers, 1)
	expect(t, "log", strings.Contains(site.log.String(), "handler failed"), false)
}

// After the first byte the client learns of the failure by an aborted response,
// over HTTP/1.1 and HTTP/2, and what was changed since is discarded.
func TestHandlerFuncThatFailsAfterTheFirstByte(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		site := newSite(t)
		cookie := site.user("ada")
		server := httptest.NewUnstartedServer(site.form(
			func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
				_ = s.Set("before", 1)
				w.Header().Set("Content-Length", "1000")
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				_ = s.Set("after", 1)
				return errBroken
			}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		defer server.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		r.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		expect(t, "status", resp.StatusCode, http.StatusOK)
		expect(t, "body", string(body), "half")
		expect(t, "the body is cut", err != nil, true)
		expect(t, "values", site.look(cookie, "before", "after"), "user=ada before")
		expect(t, "log", strings.Count(site.log.String(),
			`msg="handler failed after the response began" error="the shop is broken"`), 1)
		expect(t, "a stack in the log", strings.Contains(site.log.String(), "panic"), false)
	}

	// in a test without a server the handler returns
	site := newSite(t)
	resp, _ := visit(site.form(
		func(w http.ResponseWriter, _ *http.Request, _ *sessionstore.Session) error {
			_, _ = io.WriteString(w, "half")
			return errBroken
		}))
	expect(t, "body without a server", textOf(resp), "half")
	expect(t, "log", strings.Count(site.log.String(), "handler failed after"), 1)
}

// TimeoutHandler has a writer of its own, whose header is not the session's.
func TestHandlerFuncWithinATimeoutHandler(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	within := func(h http.Handler) http.Handler {
		return site.m.Handler(http.TimeoutHandler(h, testTimeout, "too late"))
	}
	resp, cookie := visit(within(sessionstore.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
			_ = s.Set("lost", 1)
			_, _ = io.WriteString(w, "half")
			return errBroken
		})))
	expect(t, "body that had begun", textOf(resp), "half")
	expect(t, "its cookie", cookie, "")
	resp, cookie = visit(within(sessionstore.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
			_ = s.Set("lost", 1)
			w.Header().Set("Content-Type", "application/pdf")
			return errBroken
		})))
	expect(t, "type", resp.Header.Get("Content-Type"), "text/plain; charset=utf-8")
	expect(t, "status", resp.StatusCode, http.StatusInternalServerError)
	expect(t, "cookie", cookie, "")
}

func TestHandlerFuncOfAClientThatLeft(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://shop.example/", nil)
	resp := send(site.form(
		func(_ http.ResponseWriter, _ *http.Request, _ *sessionstore.Session) error {
			leave()
			return errBroken
		}), r)
	expect(t, "status", resp.StatusCode, http.StatusInternalServerError)
	expect(t, "log", strings.Contains(site.log.String(), "handler failed"), false)
}

// Errors of all requests have a bounded number of lines.
func TestHandlerFuncFailuresAreBounded(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	h := site.form(alwaysBroken)
	for range 100 {
		visit(h)
	}
	if n := strings.Count(site.log.String(), "handler failed"); n < 10 || n > 20 {
		t.Errorf("%d lines, want some 10", n)
	}
}

func TestHandlerFuncWithoutAManager(t *testing.T) {
	resp, _ := visit(sessionstore.HandlerFunc(alwaysBroken))
	expect(t, "status", resp.StatusCode, http.StatusInternalServerError)
}

func TestHandlerOfANilManager(t *testing.T) {
	t.Parallel()
	defer func() {
		p, _ := recover().(string)
		expect(t, "the panic names the remedy", strings.Contains(p, "make it with Open"), true)
	}()
	var m *sessionstore.Manager
	m.Handler(http.NotFoundHandler())
}

// A token that was replaced before the first byte reaches its client, however
// small the part of the page is: the old one has ended.
func TestHandlerFuncThatFailsBringsTheNewToken(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		site := newSite(t)
		server := httptest.NewUnstartedServer(site.form(
			func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
				site.check(s.Rotate(r.Context()))
				_, _ = io.WriteString(w, "half")
				return errBroken
			}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		defer server.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
		r.AddCookie(&http.Cookie{Name: cookieName, Value: site.user("ada")})
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		expect(t, "the body is cut", err != nil, true)
		if len(resp.Cookies()) != 1 {
			t.Fatalf("cookies %v", resp.Cookies())
		}
		expect(t, "the new token", site.look(resp.Cookies()[0].Value), "user=ada")
	}
}

// A session that can't be loaded is answered as the handler's own error is:
// with nothing of the page in the header.
func TestHandlerFuncWithoutItsSession(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	cookie := site.user("ada")
	site.store.Down(store.OpLoad)
	resp, _ := visit(site.m.Handler(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=600")
			w.Header().Set("ETag", `"v7"`)
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
			sessionstore.HandlerFunc(alwaysBroken).ServeHTTP(w, r)
		})), cookie)
	expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
	expect(t, "caching", resp.Header.Get("Cache-Control"), "no-store")
	expect(t, "ETag", resp.Header.Get("ETag"), "")
	expect(t, "policy", resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
}

// Only a client that left gets no answer: a context of the application's own
// may be cancelled too.
func TestHandlerFuncWithACancelledContextOfItsOwn(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	resp, _ := visit(site.form(
		func(_ http.ResponseWriter, r *http.Request, _ *sessionstore.Session) error {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			return fmt.Errorf("the price: %w", ctx.Err())
		}))
	expect(t, "status", resp.StatusCode, http.StatusInternalServerError)
	expect(t, "log", strings.Contains(site.log.String(),
		`msg="handler failed" error="the price: context canceled"`), true)
}

// Another device ends the session before the handler's own Save.
func TestHandlerFuncWhoseSessionHasEnded(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	resp, _ := visit(site.form(
		func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
			_, err := site.m.RevokeUser(context.Background(), "ada")
			site.check(err, s.Set("cart", true))
			return s.Save(r.Context())
		}), site.user("ada"))
	expect(t, "status", resp.StatusCode, http.StatusNotFound)
	expect(t, "body", textOf(resp), "This session has ended.")
	expect(t, "log", strings.Contains(site.log.String(), "handler failed"), false)
}
