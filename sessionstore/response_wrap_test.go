package sessionstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// abilities are the optional interfaces of net/http's writers.
var abilities = []struct {
	name string
	has  func(http.ResponseWriter) bool
}{
	{"Flusher", is[http.Flusher]},
	{"FlushError", is[interface{ FlushError() error }]},
	{"Hijacker", is[http.Hijacker]},
	{"Pusher", is[http.Pusher]},
	{"CloseNotifier", is[interface{ CloseNotify() <-chan bool }]},
	{"ReaderFrom", is[io.ReaderFrom]},
	{"StringWriter", is[io.StringWriter]},
	{"SetReadDeadline", func(w http.ResponseWriter) bool {
		return supported(http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Hour)))
	}},
	{"SetWriteDeadline", func(w http.ResponseWriter) bool {
		return supported(http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour)))
	}},
	{"EnableFullDuplex", func(w http.ResponseWriter) bool {
		return supported(http.NewResponseController(w).EnableFullDuplex())
	}},
}

func is[T any](w http.ResponseWriter) bool {
	_, ok := w.(T)
	return ok
}

func supported(err error) bool { return !errors.Is(err, http.ErrNotSupported) }

func abilitiesOf(w http.ResponseWriter) string {
	var has []string
	for _, a := range abilities {
		if a.has(w) {
			has = append(has, a.name)
		}
	}
	return strings.Join(has, " ")
}

// The handler's writer has the optional interfaces of the server's, with or
// without a session: gin panics without a CloseNotifier.
func TestWriterHasAllOptionalInterfaces(t *testing.T) {
	overBoth(t, func(t *testing.T, start func(http.Handler) *wire) {
		var without, with string
		site := newSite(t)
		page := site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			with = abilitiesOf(w)
		}))
		c := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			without = abilitiesOf(w)
			page.ServeHTTP(w, r)
		}))
		expect(t, "status", c.send("GET", "/", "").StatusCode, http.StatusOK)
		expect(t, "abilities", with, without)
		want := "Hijacker CloseNotifier ReaderFrom"
		if c.http2 {
			want = "Pusher CloseNotifier"
		}
		for _, name := range strings.Fields(want) {
			expect(t, name, strings.Contains(with, name), true)
		}
	})
}

type (
	ableFlush  struct{ w *bareWriter }
	ableHijack struct{ w *bareWriter }
	ablePush   struct{ w *bareWriter }
)

func (a ableFlush) Flush() { a.w.note("flush") }

func (a ableHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.w.note("hijack")
	return nil, nil, nil
}

func (a ablePush) Push(target string, _ *http.PushOptions) error {
	a.w.note("push:" + target)
	return nil
}

// Each combination of optional interfaces is passed on over each protocol. The
// middleware's writer must offer no Hijack or Push that the server lacks.
func TestWriterOfEachShape(t *testing.T) {
	for _, tt := range []struct {
		wrap func(w *bareWriter) http.ResponseWriter
		want [2]string // over HTTP/1.1 and HTTP/2
	}{
		{func(w *bareWriter) http.ResponseWriter { return w }, [2]string{"", ""}},
		{func(w *bareWriter) http.ResponseWriter {
			return struct {
				*bareWriter
				ableFlush
			}{w, ableFlush{w}}
		}, [2]string{"flush", "flush"}},
		{func(w *bareWriter) http.ResponseWriter {
			return struct {
				*bareWriter
				ableHijack
			}{w, ableHijack{w}}
		}, [2]string{"hijack", "hijack"}},
		{func(w *bareWriter) http.ResponseWriter {
			return struct {
				*bareWriter
				ablePush
			}{w, ablePush{w}}
		}, [2]string{"push", "push"}},
		{func(w *bareWriter) http.ResponseWriter {
			return struct {
				*bareWriter
				ableFlush
				ableHijack
			}{w, ableFlush{w}, ableHijack{w}}
		}, [2]string{"flush hijack", "flush hijack"}},
		{func(w *bareWriter) http.ResponseWriter {
			return struct {
				*bareWriter
				ableFlush
				ablePush
			}{w, ableFlush{w}, ablePush{w}}
		}, [2]string{"flush push", "flush push"}},
		{func(w *bareWriter) http.ResponseWriter {
			return struct {
				*bareWriter
				ableHijack
				ablePush
			}{w, ableHijack{w}, ablePush{w}}
		}, [2]string{"hijack", "push"}},
		{func(w *bareWriter) http.ResponseWriter {
			return struct {
				*bareWriter
				ableFlush
				ableHijack
				ablePush
			}{w, ableFlush{w}, ableHijack{w}, ablePush{w}}
		}, [2]string{"flush hijack", "flush push"}},
	} {
		for i, major := range []int{1, 2} {
			for _, through := range []string{"direct", "unwrapped"} {
				t.Run(fmt.Sprintf("%s over HTTP/%d, %s", tt.want[i], major, through), func(
					t *testing.T,
				) {
					site := newSite(t)
					server := tt.wrap(newBareWriter(site.store))
					if through == "unwrapped" {
						server = unwrapper{wrapper{server}}
					}
					r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
					r.ProtoMajor = major
					var can []string
					site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						if f, ok := w.(http.Flusher); ok {
							can = append(can, "flush")
							f.Flush()
						}
						if h, ok := w.(http.Hijacker); ok {
							can = append(can, "hijack")
							_, _, err := h.Hijack()
							site.check(err)
						}
						if p, ok := w.(http.Pusher); ok {
							can = append(can, "push")
							site.check(p.Push("/style.css", nil))
						}
					})).ServeHTTP(server, r)
					expect(t, "abilities", strings.Join(can, " "), tt.want[i])
					expect(t, "what the server's writer did",
						strings.ReplaceAll(site.store.asked(), ":/style.css", ""), tt.want[i])
				})
			}
		}
	}
}

// A recorder and http.TimeoutHandler have no CloseNotifier. The request's
// context reports the disconnect there.
func TestCloseNotifyFromContext(t *testing.T) {
	site := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "https://shop.example/", nil)
	site.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		gone := w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
		select {
		case <-gone:
			t.Error("the client has gone before it has")
		default:
		}
		cancel()
		<-gone
	})).ServeHTTP(httptest.NewRecorder(), r)
}
