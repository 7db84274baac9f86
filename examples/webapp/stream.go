package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// tickEvery is the interval of the events. Proxies close a connection that is
// silent for too long.
const tickEvery = time.Second

// stream sends server-sent events while the session lasts. The last event says
// that it ended, and the page leaves.
func (a *app) stream(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	line := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would buffer
	say := func(event string, data any) bool {
		// The timeout of the server is meant for responses that end.
		_ = line.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := fmt.Fprintf(w, "event: %s\ndata: %v\n\n", event, data)
		return err == nil && line.Flush() == nil
	}
	if s.UserID() == "" {
		say("ended", "not logged in")
		return
	}

	alive, stop := s.Watch(r.Context())
	defer stop()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for began := time.Now(); ; {
		if !say("tick", int(time.Since(began).Seconds())) {
			return
		}
		select {
		case <-alive.Done():
			if errors.Is(context.Cause(alive), sessionstore.ErrNotFound) {
				say("ended", "the session has ended")
			}
			return // without the event the browser reconnects by itself, to the next process
		case <-tick.C:
		}
	}
}

// ended is the page after the stream. A user who is still logged in is
// redirected: a login in another tab changes the token and ends the stream.
func (a *app) ended(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if s.UserID() != "" {
		http.Redirect(w, r, "/devices", http.StatusSeeOther)
		return
	}
	render(w, "ended.html", http.StatusOK, a.frameOf("This session has ended", "/ended", s))
}
