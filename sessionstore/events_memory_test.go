package sessionstore_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/reporadar/pgsession/sessionstore"
)

// A waiting event keeps the values of its request's context, but not the
// request: thousands may wait, each with headers of a megabyte.
func TestWaitingEventsKeepNoRequest(t *testing.T) {
	site, letGo := stuck(t)
	defer letGo()
	const visits = 8
	headers := make([]weak.Pointer[[1 << 20]byte], 0, visits)
	h := site.serve(nothing)
	for range visits {
		func() {
			big := new([1 << 20]byte)
			headers = append(headers, weak.Make(big))
			r := httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
			r.Header.Set("Cookie", cookieName+"=forged")
			r.Body = bigBody{big}
			h.ServeHTTP(httptest.NewRecorder(), r)
		}()
	}
	for range 3 {
		runtime.GC()
	}
	kept := 0
	for _, p := range headers {
		if p.Value() != nil {
			kept++
		}
	}
	expect(t, "requests kept by events that wait", kept, 0)
	expect(t, "events that happened", site.m.Count(sessionstore.EventForged), visits)
}

// bigBody is the memory that a request holds.
type bigBody struct{ big *[1 << 20]byte }

func (bigBody) Read([]byte) (int, error) { return 0, http.ErrBodyReadAfterClose }

func (bigBody) Close() error { return nil }

// A log that panics twice, as the default observer and in the report of that
// panic, ends neither the process nor the delivery of events.
func TestPanickingLog(t *testing.T) {
	log := &panicking{}
	site := newSite(t,
		func(cfg *sessionstore.Config) { cfg.Observer, cfg.Logger = nil, slog.New(log) })
	visit(site.serve(nothing), "forged")
	visit(site.serve(nothing), "forged")
	site.delivered()
	expect(t, "lines", strings.Join(log.lines, ", "),
		"session cookie forged, observer panicked, session cookie forged, observer panicked")
}

type panicking struct{ lines []string }

func (p *panicking) Enabled(context.Context, slog.Level) bool { return true }

func (p *panicking) WithAttrs([]slog.Attr) slog.Handler { return p }

func (p *panicking) WithGroup(string) slog.Handler { return p }

func (p *panicking) Handle(_ context.Context, r slog.Record) error {
	p.lines = append(p.lines, r.Message)
	panic("no log")
}
