package sessionstore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var omittedIn = regexp.MustCompile(`omitted=(\d+)`)

// logged counts the lines with a message, and the lines that they report as
// omitted.
func logged(log, message string) (lines, omitted int) {
	for line := range strings.Lines(log) {
		if !strings.Contains(line, message) {
			continue
		}
		lines++
		if found := omittedIn.FindStringSubmatch(line); found != nil {
			n, _ := strconv.Atoi(found[1])
			omitted += n
		}
	}
	return lines, omitted
}

func newcomer(s *site) string { return s.newcomer() }

// Events that any client can cause are logged at a limited rate, with the
// number of omitted lines.
func TestEventsOfAnyClientHaveLimitedLines(t *testing.T) {
	const flood, seconds = 500, 30
	set := func(_ http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err == nil {
			_ = s.Set("k", 1)
		}
	}
	for name, tt := range map[string]struct {
		kind    sessionstore.EventKind
		cookie  func(s *site) string
		prepare func(s *site)
	}{
		"forged": {
			kind: sessionstore.EventForged, cookie: func(*site) string { return "planted" },
		},
		"not loaded": {
			kind: sessionstore.EventLoadFailed, cookie: newcomer,
			prepare: func(s *site) { s.store.Down(store.OpLoad) },
		},
		"not saved": {
			kind:    sessionstore.EventSaveFailed,
			prepare: func(s *site) { s.store.Down(store.OpCreate) },
		},
		"lost changes": {
			kind: sessionstore.EventChangeLost, cookie: newcomer,
			prepare: func(s *site) {
				s.store.on(store.OpSave,
					func(context.Context) error { return sessionstore.ErrNotFound })
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, func(c *sessionstore.Config) { c.Observer = nil })
				cookie := ""
				if tt.cookie != nil {
					cookie = tt.cookie(s)
				}
				if tt.prepare != nil {
					tt.prepare(s)
				}
				handler := s.m.Handler(http.HandlerFunc(set))
				for range seconds {
					for range flood {
						visit(handler, cookie)
					}
					time.Sleep(time.Second)
				}
				s.delivered()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				lines, omitted := logged(s.log.String(), tt.kind.String())
				if lines < seconds || lines > seconds+20 {
					t.Errorf("%d lines for %d events", lines, flood*seconds)
				}
				// Lines of the timer report omitted lines and belong to no
				// event.
				if reports := lines + omitted - flood*seconds; reports < 0 ||
					reports > seconds/10+1 {
					t.Errorf("%d lines and %d omitted, of %d events", lines, omitted, flood*seconds)
				}
			})
		})
	}
}

// Each login has its line, since an audit needs them all.
func TestEveryLoginHasItsLine(t *testing.T) {
	s := newSite(t, func(c *sessionstore.Config) { c.Observer = nil })
	for range 50 {
		s.user("ann")
	}
	lines, omitted := logged(s.log.String(), sessionstore.EventLogin.String())
	expect(t, "lines", lines, 50)
	expect(t, "omitted", omitted, 0)
}

// An Observer that panics for each event does not flood the log with stacks.
func TestPanickingObserverHasLimitedLines(t *testing.T) {
	s := newSite(t, func(c *sessionstore.Config) {
		c.Observer = func(context.Context, sessionstore.Event) { panic("each time") }
	})
	for range 1000 {
		s.visit("planted", func(_ http.ResponseWriter, r *http.Request, _ *sessionstore.Session) {})
	}
	s.delivered()
	if lines, _ := logged(s.log.String(), "observer panicked"); lines < 10 || lines > 60 {
		t.Errorf("%d lines", lines)
	}
}

// Count counts events. CountSessions adds up the sessions that they concern.
func TestCountsOfEventsAndSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		m, err := sessionstore.NewManagerOver(o,
			sessionstore.Config{Secrets: []sessionstore.Secret{secretOne}})
		expect(t, "error", err, nil)
		for range 2 {
			o.BeginOutage()
			for n := range 500 {
				o.Make(rand.Text() + fmt.Sprint(n))
			}
			o.EndOutage()
		}
		expect(t, "emergencies that ended", m.Count(sessionstore.EventEmergencyEnded), int64(2))
		expect(t, "sessions restored", m.CountSessions(sessionstore.EventEmergencyEnded),
			int64(1000))
		expect(t, "events of no number", m.CountSessions(sessionstore.EventLogin), int64(0))
		expect(t, "of no kind", m.CountSessions(-1), int64(0))
		expect(t, "close", m.Close(), nil)
	})
}

// Without a logger the lines go to that of the process.
func TestLogEventsWithoutALogger(t *testing.T) {
	var lines strings.Builder
	before := slog.Default()
	defer slog.SetDefault(before)
	slog.SetDefault(slog.New(slog.NewTextHandler(&lines, nil)))
	e := sessionstore.Event{Kind: sessionstore.EventLogin, UserID: "ada"}
	sessionstore.LogEvents(nil)(t.Context(), e)
	if n, _ := logged(lines.String(), "user_id=ada"); n != 1 {
		t.Errorf("%d lines of the login:\n%s", n, lines.String())
	}
}
