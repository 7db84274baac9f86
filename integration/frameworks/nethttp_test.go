package frameworks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

func pages(mux interface {
	Handle(pattern string, h http.Handler)
},
) {
	mux.Handle("/count", sessionstore.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request, _ *sessionstore.Session) error {
			n, err := count(r.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(w, n)
			return err
		}))
	mux.Handle("/broken", sessionstore.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request, _ *sessionstore.Session) error {
			if _, err := count(r.Context()); err != nil {
				return err
			}
			return errBroken
		}))
}

func TestServeMux(t *testing.T) {
	t.Parallel()
	newSite(t, func(m *sessionstore.Manager) http.Handler {
		mux := http.NewServeMux()
		pages(mux)
		return m.Handler(mux)
	}).counts(http.StatusInternalServerError)
}

// The handler of a TimeoutHandler inside Manager.Handler goes on after its
// time, and what it changes then is void.
func TestTimeoutHandler(t *testing.T) {
	t.Parallel()
	late := make(chan error, 1)
	s := newSite(t, func(m *sessionstore.Manager) http.Handler {
		mux := http.NewServeMux()
		pages(mux)
		mux.Handle("/slow", http.TimeoutHandler(http.HandlerFunc(
			func(_ http.ResponseWriter, r *http.Request) {
				whole := context.WithoutCancel(r.Context())
				sess, err := sessionstore.FromContext(whole)
				if err == nil {
					err = visits.Set(sess, 100)
				}
				if err != nil && !errors.Is(err, sessionstore.ErrRequestEnded) {
					t.Error(err) // it ended if the machine is busy for so long
				}
				<-r.Context().Done() // of the TimeoutHandler
				for err == nil {     // until its answer has ended the request
					err = sess.Login(whole, "ada")
				}
				late <- err
			}), 100*time.Millisecond, "too late"))
		mux.Handle("/quick", http.TimeoutHandler(http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				n, _ := count(r.Context())
				_, _ = fmt.Fprint(w, n)
			}), time.Minute, "too late"))
		return m.Handler(mux)
	})
	s.wants("/quick", http.StatusOK, "1")
	s.wants("/slow", http.StatusServiceUnavailable, "too late")
	if err := <-late; err == nil {
		t.Error("a login after the answer succeeds")
	}
	s.wants("/count", http.StatusOK, "2")
	if infos, err := s.List(t.Context(), "ada", sessionstore.Page{}); err != nil || len(infos) > 0 {
		t.Errorf("%d sessions of ada, %v", len(infos), err)
	}
}

// A proxy behind the sessions: the server behind it does not get the cookie,
// its own cookies reach the browser, and a stream is not buffered.
func TestReverseProxy(t *testing.T) {
	t.Parallel()
	inner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Cookie"), "session=") {
			t.Error("the server behind the proxy gets the session's cookie")
		}
		http.SetCookie(w, &http.Cookie{Name: "inner", Value: "1"})
		_, _ = fmt.Fprint(w, r.Header.Get("X-Visits"))
		if r.URL.Path == "/cut" {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(inner.Close)
	target, _ := url.Parse(inner.URL)
	s := newSite(t, func(m *sessionstore.Manager) http.Handler {
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			n, err := count(r.In.Context())
			if err != nil {
				t.Error(err)
			}
			r.SetURL(target)
			r.Out.Header.Del("Cookie")
			r.Out.Header.Set("X-Visits", fmt.Sprint(n))
		}}
		return m.Handler(proxy)
	})
	s.wants("/", http.StatusOK, "1")
	s.wants("/", http.StatusOK, "2")
	u, _ := url.Parse(s.server.URL)
	if n := len(s.client.Jar.Cookies(u)); n != 2 {
		t.Errorf("%d cookies, want the session's and that of the server behind", n)
	}
	s.wants("/cut", http.StatusOK, "3") // the proxy aborts after the first byte
	s.wants("/", http.StatusOK, "4")
}
