package sessionstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// bareWriter is a server's writer without optional interfaces. It logs its
// calls in the same list as those of the store.
type bareWriter struct {
	header http.Header
	store  *spy
	body   bytes.Buffer
}

func newBareWriter(store *spy) *bareWriter {
	return &bareWriter{header: http.Header{}, store: store}
}

func (w *bareWriter) note(what string) {
	call := fault.Call{Op: store.Operation(what)}
	_, _ = fault.Run(context.Background(), &w.store.Injector, call, func(
		context.Context, fault.Call,
	) (any, error) {
		return nil, nil
	})
}

func (w *bareWriter) Header() http.Header { return w.header }

func (w *bareWriter) WriteHeader(status int) { w.note("status:" + http.StatusText(status)) }

func (w *bareWriter) Write(p []byte) (int, error) {
	w.note("write")
	return w.body.Write(p)
}

type (
	flushWriter  struct{ *bareWriter }
	errorFlusher struct{ *bareWriter }
	hijackWriter struct{ *bareWriter }
	bothWriter   struct {
		flushWriter
	}
	readerFromWriter struct{ *bareWriter }
	wrapper          struct{ http.ResponseWriter } // as many middlewares are
	unwrapper        struct{ wrapper }
)

func (w flushWriter) Flush() { w.note("flush") }

func (w errorFlusher) FlushError() error { w.note("flush"); return nil }

func (w hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.note("hijack")
	return nil, nil, nil
}

func (w bothWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return hijackWriter{w.bareWriter}.Hijack()
}

func (w readerFromWriter) ReadFrom(src io.Reader) (int64, error) {
	w.note("readfrom")
	return w.body.ReadFrom(src)
}

func (w unwrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// through returns the handler's writer for a server's writer w.
func (s *site) through(w http.ResponseWriter, h http.HandlerFunc) {
	r, _ := http.NewRequest(http.MethodGet, "https://shop.example/", nil)
	s.m.Handler(h).ServeHTTP(w, r)
}

func TestWriterHasInterfacesOfTheServer(t *testing.T) {
	for _, tt := range []struct {
		name          string
		server        func(*bareWriter) http.ResponseWriter
		flush, hijack bool
	}{
		{"a bare writer", func(w *bareWriter) http.ResponseWriter { return w }, false, false},
		{
			"one that flushes", func(w *bareWriter) http.ResponseWriter { return flushWriter{w} },
			true, false,
		},
		{
			"one that flushes with an error",
			func(w *bareWriter) http.ResponseWriter { return errorFlusher{w} }, true, false,
		},
		{
			"one that hijacks", func(w *bareWriter) http.ResponseWriter { return hijackWriter{w} },
			false, true,
		},
		{
			"one that does both",
			func(w *bareWriter) http.ResponseWriter { return bothWriter{flushWriter{w}} }, true,
			true,
		},
		{"a middleware that hides what is behind it", func(w *bareWriter) http.ResponseWriter {
			return wrapper{bothWriter{flushWriter{w}}}
		}, false, false},
		{"a middleware that only unwraps", func(w *bareWriter) http.ResponseWriter {
			return unwrapper{wrapper{bothWriter{flushWriter{w}}}}
		}, true, true},
		{"two that only unwrap, over one that flushes", func(w *bareWriter) http.ResponseWriter {
			return unwrapper{wrapper{unwrapper{wrapper{flushWriter{w}}}}}
		}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t)
			site.through(tt.server(newBareWriter(site.store)), func(
				w http.ResponseWriter, _ *http.Request,
			) {
				flusher, canFlush := w.(http.Flusher)
				hijacker, canHijack := w.(http.Hijacker)
				expect(t, "http.Flusher", canFlush, tt.flush)
				expect(t, "http.Hijacker", canHijack, tt.hijack)

				rc := http.NewResponseController(w)
				expect(t, "ResponseController flushes",
					!errors.Is(rc.Flush(), http.ErrNotSupported), tt.flush)
				if canFlush {
					flusher.Flush()
				}
				expect(t, "flushes", strings.Count(site.store.asked(), "flush"),
					map[bool]int{true: 2}[tt.flush])

				_, _, err := rc.Hijack()
				expect(t, "ResponseController hijacks", !errors.Is(err, http.ErrNotSupported),
					tt.hijack)
				if canHijack {
					_, _, _ = hijacker.Hijack()
				}
				expect(t, "hijacks", strings.Count(site.store.asked(), "hijack"),
					map[bool]int{true: 2}[tt.hijack])
			})
		})
	}
}

func TestWriterOfARecorder(t *testing.T) {
	w := httptest.NewRecorder()
	newSite(t).through(w, func(w http.ResponseWriter, _ *http.Request) {
		_, canHijack := w.(http.Hijacker)
		expect(t, "http.Hijacker", canHijack, false)
		w.(http.Flusher).Flush()
	})
	expect(t, "flushed", w.Flushed, true)
}

// Each way to send a byte saves the session and sets the cookie first.
func TestSessionIsSavedBeforeAnythingIsSent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		send func(w http.ResponseWriter)
		asks string // calls of the store and of the server's writer, in order
	}{
		{"Write", func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) }, "create write"},
		{"an empty Write", func(w http.ResponseWriter) { _, _ = w.Write(nil) }, "create write"},
		{
			"two Writes", func(w http.ResponseWriter) { _, _ = w.Write(nil); _, _ = w.Write(nil) },
			"create write write",
		},
		{
			"WriteString", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
			"create write",
		},
		{
			"WriteHeader", func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
			"create status:OK",
		},
		{
			"no content", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
			"create status:No Content",
		},
		{
			"not modified", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) },
			"create status:Not Modified",
		},
		{"early hints, which begin nothing", func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusProcessing)
			w.WriteHeader(http.StatusOK)
			w.WriteHeader(http.StatusEarlyHints) // too late, and not passed on
		}, "status:Early Hints status:Processing create status:OK"},
		{
			"switching protocols",
			func(w http.ResponseWriter) { w.WriteHeader(http.StatusSwitchingProtocols) },
			"create status:Switching Protocols",
		},
		{"Flush", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, "create flush"},
		{
			"Flush by a ResponseController",
			func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
			"create flush",
		},
		{
			"Hijack", func(w http.ResponseWriter) { _, _, _ = w.(http.Hijacker).Hijack() },
			"create hijack",
		},
		{
			"Hijack by a ResponseController",
			func(w http.ResponseWriter) { _, _, _ = http.NewResponseController(w).Hijack() },
			"create hijack",
		},
		{"ReadFrom", func(w http.ResponseWriter) {
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(""))
		}, "create"},
		{"io.Copy of a file", func(w http.ResponseWriter) {
			f, err := os.Open(file)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			_, _ = io.Copy(w, f)
		}, "create write write write write write"},
		{"nothing at all", func(http.ResponseWriter) {}, "create"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := newSite(t)
			bare := newBareWriter(site.store)
			site.through(bothWriter{flushWriter{bare}}, func(
				w http.ResponseWriter, r *http.Request,
			) {
				s, err := sessionstore.FromContext(r.Context())
				site.check(err)
				site.check(s.Set("cart", 1))
				tt.send(w)
			})
			expect(t, "order", site.store.asked(), tt.asks)
			_, set := sessionCookie(&http.Response{Header: bare.header})
			expect(t, "cookie", set, true)
		})
	}
}

func TestReadFromReachesTheServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	body := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, send := range map[string]func(w http.ResponseWriter, r *http.Request, f *os.File){
		"io.Copy": func(w http.ResponseWriter, _ *http.Request, f *os.File) {
			_, _ = io.Copy(w, f)
		},
		"io.CopyN": func(w http.ResponseWriter, _ *http.Request, f *os.File) {
			_, _ = io.CopyN(w, f, int64(len(body)))
		},
		"ServeFile": func(w http.ResponseWriter, r *http.Request, f *os.File) {
			http.ServeFile(w, r, f.Name())
		},
	} {
		t.Run(name, func(t *testing.T) {
			site := newSite(t)
			bare := newBareWriter(site.store)
			site.through(readerFromWriter{bare}, func(w http.ResponseWriter, r *http.Request) {
				f, err := os.Open(file)
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				send(w, r, f)
			})
			if !bytes.Equal(bare.body.Bytes(), body) {
				t.Errorf("the body arrived as %d bytes, want %d", bare.body.Len(), len(body))
			}
			asked := strings.Fields(site.store.asked())
			asked = slices.DeleteFunc(asked,
				func(call string) bool { return !strings.Contains("write readfrom", call) })
			if calls := strings.Join(asked, " "); calls != "readfrom" && calls != "write readfrom" {
				t.Errorf("the server's writer was asked %v, want readfrom after one write at most",
					asked)
			}
		})
	}
}

// A body in many pieces is not buffered: each Write reaches the server before
// it returns.
func TestBodyIsNotBuffered(t *testing.T) {
	site := newSite(t)
	bare := newBareWriter(site.store)
	site.through(bare, func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		site.check(err)
		site.check(s.Set("cart", 1))
		piece := bytes.Repeat([]byte("x"), 1<<20)
		_, _ = w.Write(piece)
		allocs := testing.AllocsPerRun(20, func() {
			bare.body.Reset()
			if n, err := w.Write(piece); n != len(piece) || err != nil ||
				bare.body.Len() != len(piece) {
				t.Errorf("Write: %d, %v, with %d bytes passed on", n, err, bare.body.Len())
			}
			site.store.asked()
		})
		if allocs > 8 { // allocations of the double itself
			t.Errorf("%v allocations for each Write", allocs)
		}
	})
}
