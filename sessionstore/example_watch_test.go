package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// live sends the time as server-sent events until the session ends or the
// browser disconnects.
func live(w http.ResponseWriter, r *http.Request) {
	s, err := sessionstore.FromContext(r.Context())
	if err != nil {
		sessionstore.ServeError(w, r, err)
		return
	}
	if s.UserID() == "" { // an EventSource stops at it, and else connects again for ever
		http.Error(w, "please log in", http.StatusUnauthorized)
		return
	}
	ctx, cancel := s.Watch(r.Context())
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes each event on at once
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		fmt.Fprintf(w, "data: %s\n\n", time.Now().Format(time.TimeOnly))
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), sessionstore.ErrNotFound) { // ended, or a new token
				fmt.Fprint(w, "event: ended\ndata: ask again who is logged in\n\n")
			}
			return
		}
	}
}

// Watch ends a stream of events when its session is logged out, revoked or
// expired, by any instance.
func ExampleSession_Watch() {
	sessions, err := sessionstore.Open(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	w := httptest.NewRecorder()
	sessions.Handler(http.HandlerFunc(live)).ServeHTTP(w,
		httptest.NewRequest(http.MethodGet, "/live", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output:
	// 401 please log in
}
