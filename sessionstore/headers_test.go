package sessionstore_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A client takes the handler's headers for its answer: htmx follows HX-Redirect
// at any status. So an error drops them.
func TestRefusedResponseDropsHandlerHeaders(t *testing.T) {
	for _, tt := range []struct{ name, outer, handler, want string }{
		{"Hx-Redirect", "", "/welcome", ""},
		{"Hx-Location", "", "/welcome", ""},
		{"Hx-Refresh", "", "true", ""},
		{"Hx-Trigger", "", "paid", ""},
		{"Turbo-Location", "", "/welcome", ""},
		{"X-Inertia", "", "true", ""},
		{"Location", "", "/welcome", ""},
		{"Content-Location", "", "/orders/7", ""},
		{"Refresh", "", "0; url=/welcome", ""},
		{"Link", "", "</next>; rel=preload", ""},
		{"Clear-Site-Data", "", `"cookies"`, ""},
		{"Content-Type", "", "image/png", "text/plain; charset=utf-8"},
		{"Content-Language", "", "de", ""},
		{"Content-Disposition", "", "attachment", ""},
		{"Content-Encoding", "", "br", ""},
		{"Content-Range", "", "bytes 0-6/7", ""},
		{"Accept-Ranges", "", "bytes", ""},
		{"Etag", "", `"1"`, ""},
		{"Last-Modified", "", "Sat, 01 Jan 2022 00:00:00 GMT", ""},
		{"Expires", "", "Sat, 01 Jan 2050 00:00:00 GMT", ""},
		{"Age", "", "7", ""},
		{"Cache-Control", "public", "public, max-age=60", "no-store"},
		{"Cdn-Cache-Control", "max-age=60", "max-age=600", ""},
		{"Trailer", "", "X-Sum", ""},
		{"Www-Authenticate", "", "Basic", ""},
		{"X-Accel-Redirect", "", "/private/file", ""},
		{"X-Sendfile", "", "/private/file", ""},
		{"X-Token", "", "for-the-script", ""},
		{"Set-Cookie", "", "csrf=of-the-login; Path=/", ""},

		{"Set-Cookie", "lang=de", "", "lang=de"},
		{"X-Request-Id", "42", "", "42"},
		{"X-Request-Id", "42", "43", "42"},
		{"Link", "</outer>", "</inner>", "</outer>"},
		// a compressor outside the Handler compresses the error too
		{"Content-Encoding", "zstd", "", "zstd"},

		{"Vary", "", "Accept", "Accept, Cookie"},
		{"Vary", "Origin", "Origin, Accept", "Origin, Accept, Cookie"},
		{"Access-Control-Allow-Origin", "", "https://app.example", "https://app.example"},
		{"Access-Control-Allow-Credentials", "", "true", "true"},
		{"Access-Control-Expose-Headers", "", "Retry-After", "Retry-After"},
		{"Timing-Allow-Origin", "", "*", "*"},
		{"Strict-Transport-Security", "max-age=1", "max-age=2", "max-age=2"},
		{"Content-Security-Policy", "", "default-src 'self'", "default-src 'self'"},
		{"Content-Security-Policy-Report-Only", "", "default-src 'self'", "default-src 'self'"},
		{"X-Frame-Options", "", "DENY", "DENY"},
		{"X-Content-Type-Options", "", "nosniff", "nosniff"},
		{"Referrer-Policy", "", "no-referrer", "no-referrer"},
		{"Permissions-Policy", "", "camera=()", "camera=()"},
		{"Cross-Origin-Opener-Policy", "", "same-origin", "same-origin"},
		{"Cross-Origin-Embedder-Policy", "", "require-corp", "require-corp"},
		{"Cross-Origin-Resource-Policy", "", "same-site", "same-site"},
	} {
		t.Run(tt.name+" "+tt.outer+" "+tt.handler, func(t *testing.T) {
			site := newSite(t)
			site.store.Down(store.OpCreate)
			page := site.serve(func(
				w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
			) {
				site.check(s.Set("cart", 1))
				if tt.handler != "" {
					w.Header().Set(tt.name, tt.handler)
				}
				_, _ = io.WriteString(w, "ordered")
			})
			resp, _ := visit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.outer != "" {
					w.Header().Set(tt.name, tt.outer)
				}
				page.ServeHTTP(w, r)
			}))
			expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
			expect(t, tt.name, strings.Join(resp.Header[tt.name], ", "), tt.want)
		})
	}
}

// A header that net/http would spell differently is sent as it is, so it must
// be dropped too.
func TestRefusedResponseDropsMisspelledHeaders(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		site := newSite(t)
		site.store.Down(store.OpCreate)
		c := start(site.serve(func(
			w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
		) {
			site.check(s.Set("cart", 1))
			w.Header()["hx-redirect"] = []string{"/welcome"}
			w.Header()["x-frame-options"] = []string{"DENY"}
			_, _ = io.WriteString(w, "ordered")
		}))
		resp := c.send("POST", "/", "")
		expect(t, "HX-Redirect", resp.Header.Get("Hx-Redirect"), "")
		expect(t, "X-Frame-Options", resp.Header.Get("X-Frame-Options"), "DENY")
	})
}

// The session's own cookie stays if it belongs to a change that was saved
// before.
func TestRefusedResponseKeepsOwnCookie(t *testing.T) {
	site := newSite(t)
	cookie := site.newcomer("cart")
	resp, after := site.visit(cookie, func(
		w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ada"))
		site.check(s.Save(r.Context()))
		site.check(s.Set("more", 1))
		site.store.Down(store.OpSave)
		http.SetCookie(w, &http.Cookie{Name: "csrf", Value: "of-the-page"})
		_, _ = io.WriteString(w, "hi")
	})
	expect(t, "status", resp.StatusCode, http.StatusServiceUnavailable)
	expect(t, "Set-Cookie headers", len(resp.Header["Set-Cookie"]), 1)
	expect(t, "another token", after != cookie, true)
	site.store.Up()
	expect(t, "the session", site.look(after, "cart", "more"), "user=ada cart")
}

// A status of 200 would claim success.
func TestErrorHandlerThatSendsNothingIsAnError(t *testing.T) {
	site := newSite(t, func(cfg *sessionstore.Config) {
		cfg.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}
	})
	site.store.Down(store.OpCreate)
	resp, _ := site.visit("", func(
		w http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("cart", 1))
		_, err := io.WriteString(w, "ordered")
		expect(t, "Write", errors.Is(err, sessionstore.ErrUnavailable), true)
		w.Header().Set("Hx-Redirect", "/welcome")
	})
	expect(t, "status", resp.StatusCode, http.StatusInternalServerError)
	expect(t, "body", bodyOf(t, resp), "")
	expect(t, "HX-Redirect", resp.Header.Get("Hx-Redirect"), "")
}

// A handler asks for the session after its first byte, when no header can keep
// the response out of shared caches. The log says so once, unless the handler
// has forbidden them, or asked for the session before.
func TestLateFromContextIsLogged(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(w http.ResponseWriter, r *http.Request)
		status int
		want   int
	}{
		"late": {func(http.ResponseWriter, *http.Request) {}, http.StatusOK, 1},
		"not http": {
			func(http.ResponseWriter, *http.Request) {}, http.StatusSwitchingProtocols, 0,
		},
		"the handler's": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "Private")
		}, http.StatusOK, 0},
		"in time": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = sessionstore.FromContext(r.Context())
		}, http.StatusOK, 0},
	} {
		site := newSite(t)
		h := site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			tt.before(w, r)
			w.WriteHeader(tt.status)
			s, err := sessionstore.FromContext(r.Context())
			site.check(err)
			_ = s.UserID()
		}))
		for range 2 {
			_, _ = visit(h, site.user("ann"))
		}
		expect(t, name+", lines",
			strings.Count(site.log.String(), "session used after the response began"), tt.want)
	}
}
