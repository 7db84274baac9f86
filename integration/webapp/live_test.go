package webapp_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// listen opens the live view. next returns the name of its next event, empty at
// its end.
func listen(t *testing.T, v *visitor) (next func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.site+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", v.cookie)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	got := res.Header.Get("Content-Type")
	if res.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("the live view: %d, %s", res.StatusCode, got)
	}
	lines := bufio.NewScanner(res.Body)
	return func() string {
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				return name
			}
		}
		return ""
	}
}

// drain returns the last event of a live view that is about to end.
func drain(next func() string) (last string) {
	for event := next(); event != ""; event = next() {
		last = event
	}
	return last
}

func TestTheLiveViewEndsWithTheSession(t *testing.T) {
	t.Parallel()
	databaseURL := "DATABASE_URL=" + pgtest.Database(t)
	a, b := start(t, production, withSecret, databaseURL),
		start(t, production, withSecret, databaseURL)
	v := loginWith(t, a.url, "alice", password)
	for name, end := range map[string]func(*visitor){
		"logout": func(watched *visitor) {
			watched.at(b.url).want("POST /api/logout", http.StatusOK, "")
		},
		"ended by another": func(*visitor) { v.at(b.url).send("POST /devices/end-others") },
		"login, a new token": func(watched *visitor) {
			watched.at(b.url).want("POST /api/login?user=alice", http.StatusOK, "")
		},
		"login, another user": func(watched *visitor) {
			watched.at(b.url).want("POST /api/login?user=bob", http.StatusOK, "")
		},
	} {
		watched := login(t, a.url, "alice")
		next := listen(t, watched)
		if event := next(); event != "tick" {
			t.Fatalf("%s: the first event is %q", name, event)
		}
		end(watched)
		if last := drain(next); last != "ended" {
			t.Errorf("%s: the last event is %q, want ended", name, last)
		}
	}
	if last := drain(listen(t, visit(t, a.url))); last != "ended" {
		t.Errorf("a visitor: the last event is %q, want ended", last)
	}
}

// A process that stops ends its streams, and no session.
func TestTheLiveViewDoesNotHoldUpAShutdown(t *testing.T) {
	t.Parallel()
	a := start(t, production, withSecret, "DATABASE_URL="+pgtest.Database(t))
	next := listen(t, login(t, a.url, "alice"))
	next()
	a.terminate()
	if last := drain(next); last == "ended" {
		t.Error("the last event says that the session has ended")
	}
	a.ended()
	wantUnsaid(t, a.log(), "cut off")
}
