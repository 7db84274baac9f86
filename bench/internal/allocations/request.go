package allocations

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/reporadar/pgsession/bench/internal/contestant"
	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/sessionstore"
)

// Request is a GET for the name of a logged-in user, and the handlers that
// answer it.
type Request struct {
	// Session reads the name from the session; Bare has it as a constant.
	// Untracked is Session without metadata and without the check for
	// suspicious activity.
	Session, Untracked, Bare http.Handler

	request *http.Request
	writer  writer
}

// NewRequest logs a user in.
func NewRequest(ctx context.Context) (*Request, error) {
	store := sessionstore.NewMemory(contestant.Expiry, 0)
	cfg := sessionstore.Config{
		Secrets:  []sessionstore.Secret{"0123456789abcdef0123456789abcdef"},
		Observer: func(context.Context, sessionstore.Event) {},
	}
	manager, err := sessionstore.NewWithStore(store, cfg)
	if err != nil {
		return nil, err
	}
	cfg.Privacy.DisableMetadata, cfg.Suspicion.DisableCheck = true, true
	untracked, err := sessionstore.NewWithStore(store, cfg)
	if err != nil {
		return nil, err
	}
	r := &Request{
		Session:   manager.Handler(http.HandlerFunc(get)),
		Untracked: untracked.Handler(http.HandlerFunc(get)),
		Bare: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			answer(w, rows.Name(0))
		}),
		writer: writer{header: http.Header{}},
	}
	login, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://bench.test/login", nil)
	if err != nil {
		return nil, err
	}
	login.Header.Set("User-Agent", rows.UserAgent)
	login.RemoteAddr = "127.0.0.1:40000"
	manager.Handler(http.HandlerFunc(post)).ServeHTTP(&r.writer, login)
	cookie, _, _ := strings.Cut(r.writer.header.Get("Set-Cookie"), ";")
	if cookie == "" {
		return nil, errors.New("the login sets no cookie")
	}
	r.request = login.Clone(ctx)
	r.request.Method, r.request.URL.Path = http.MethodGet, "/"
	r.request.Header.Set("Cookie", cookie)
	return r, r.check()
}

func (r *Request) check() error {
	for _, h := range []http.Handler{r.Session, r.Untracked, r.Bare} {
		r.Serve(h)
		if string(r.writer.body) != rows.Name(0) {
			return errors.New("the answer is " + string(r.writer.body))
		}
	}
	return nil
}

// Serve answers the request once.
func (r *Request) Serve(h http.Handler) {
	clear(r.writer.header)
	r.writer.body = r.writer.body[:0]
	h.ServeHTTP(&r.writer, r.request)
}

// Travel returns a function that moves the client to another network, with
// another browser.
func (r *Request) Travel() func() {
	const places = 255 // a multiple of the browsers
	browsers := []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like " +
			"Gecko) Version/26.1 Safari/605.1.15",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) " +
			"Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
	}
	var networks [places]string
	var agents [places][]string
	for i := range places {
		networks[i] = fmt.Sprintf("100.%d.0.1:40000", i)
		agents[i] = []string{browsers[i%len(browsers)]}
	}
	i := 0
	return func() {
		i = (i + 1) % places
		r.request.RemoteAddr, r.request.Header["User-Agent"] = networks[i], agents[i]
	}
}

func get(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		return
	}
	var name string
	if _, err := s.Get("name", &name); err != nil {
		return
	}
	answer(w, name)
}

func post(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		return
	}
	for key, value := range rows.Values(0) {
		if s.Set(key, value) != nil {
			return
		}
	}
	if s.Login(r.Context(), rows.Name(0)) != nil {
		return
	}
	answer(w, "welcome")
}

func answer(w http.ResponseWriter, name string) {
	_, _ = w.Write([]byte(name))
}

// writer has the methods of net/http's writer, and allocates nothing.
type writer struct {
	header http.Header
	body   []byte
}

var (
	_ http.Flusher  = (*writer)(nil)
	_ http.Hijacker = (*writer)(nil)
)

func (w *writer) Header() http.Header { return w.header }
func (w *writer) WriteHeader(int)     {}
func (w *writer) Flush()              {}

func (w *writer) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.New("not hijacked")
}
