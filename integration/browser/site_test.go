package browser_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// gate is one https server for all names that end in .test. Browsers resolve
// all of them to it.
type gate struct {
	address string
	spki    string // of its certificate, so that a browser trusts it

	mu    sync.Mutex
	sites map[string]*site // by host
}

// openGate starts the gate, which runs until the program ends.
func openGate() (*gate, error) {
	certificate, spki, err := newCertificate()
	if err != nil {
		return nil, err
	}
	g := &gate{spki: spki, sites: map[string]*site{}}
	server := httptest.NewUnstartedServer(g)
	server.TLS = certificate
	server.EnableHTTP2 = true
	server.StartTLS()
	g.address = server.Listener.Addr().String()
	return g, nil
}

// ServeHTTP passes a request to its site.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	s := g.sites[r.Host]
	g.mu.Unlock()
	if s == nil {
		http.Error(w, "no such site", http.StatusMisdirectedRequest)
		return
	}
	s.mu.Lock()
	s.seen = append(s.seen,
		visit{r.Method + " " + r.URL.Path, r.Header.Get("Sec-Fetch-Site"), len(r.Cookies())})
	s.mu.Unlock()
	s.handler.ServeHTTP(w, r)
}

// site is a name that browsers reach over https. Each has a domain of its own,
// so that any two are cross-site.
type site struct {
	host    string
	handler http.Handler
	app     *app // behind it; nil for a site that is no demo

	mu   sync.Mutex
	seen []visit
}

// visit is a request as it arrived.
type visit struct {
	request string // such as "GET /devices"
	from    string // Sec-Fetch-Site: the browser's account of where it came from
	cookies int
}

// publish gives a handler a name.
func publish(t *testing.T, handler http.Handler) *site {
	t.Helper()
	s := &site{host: strings.ToLower(rand.Text()[:10]) + ".test", handler: handler}
	entrance.mu.Lock()
	defer entrance.mu.Unlock()
	entrance.sites[s.host] = s
	return s
}

// front puts https before a process of the demo with these variables, as a
// reverse proxy in production does.
func front(t *testing.T, environment ...string) *site {
	t.Helper()
	a := start(t, environment...)
	s := publish(t, proxyTo(t, a))
	s.app = a
	return s
}

// proxyTo passes requests to a process of the demo.
func proxyTo(t *testing.T, a *app) http.Handler {
	t.Helper()
	target, err := url.Parse(a.url)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
		r.Out.Host = r.In.Host // the origin of a form is compared with it
	}}
}

// url returns the URL of a page.
func (s *site) url(path string) string { return "https://" + s.host + path }

// asked reports whether it got any request.
func (s *site) asked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen) > 0
}

// count returns how many visits there were with this request.
func (s *site) count(request string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.seen {
		if v.request == request {
			n++
		}
	}
	return n
}

// last returns the latest visit with this request.
func (s *site) last(t *testing.T, request string) visit {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.seen) - 1; i >= 0; i-- {
		if s.seen[i].request == request {
			return s.seen[i]
		}
	}
	t.Fatalf("%s never arrived", request)
	return visit{}
}
