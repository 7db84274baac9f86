package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// tickEvery is how often the stream says that it is there. Proxies close a line that is silent for too long.
const tickEvery = time.Second

// stream is the live view: server-sent events for as long as the session lasts. Its last event says that it is over; the
// page leaves then.
func (a *app) stream(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	line := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would wait for more
	say := func(event string, data any) bool {
		// The server's own timeout is for answers that end.
		_ = line.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := fmt.Fprintf(w, "event: %s\ndata: %v\n\n", event, data)
		return err == nil && line.Flush() == nil
	}
	if s.UserID() == "" {
		say("ended", "nobody is logged in")
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
			return // or else the browser comes back by itself, to the next process
		case <-tick.C:
		}
	}
}

// ended is where the live view goes when it is over. Who is still logged in, such as after a login in another tab, which
// changes the token, goes on.
func (a *app) ended(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
	if s.UserID() != "" {
		http.Redirect(w, r, "/devices", http.StatusSeeOther)
		return
	}
	render(w, "ended.html", http.StatusOK, a.frameOf("This session has ended", "/ended", s))
}
