package sessionstore

import (
	"encoding/json"
	"net/http"
	"time"
)

// status is the answer of [Manager.StatusHandler].
type status struct {
	Session           bool  `json:"session"`
	LoggedIn          bool  `json:"logged_in"`
	ExpiresIn         int64 `json:"expires_in_seconds"`
	AbsoluteExpiresIn int64 `json:"absolute_expires_in_seconds"`
}

// StatusHandler returns a handler that answers how long the browser's session
// still lasts, without being a use of it: the deadline does not move. A page
// can warn its user before the timeout (WCAG 2.2.1), and a tab can learn that
// another one has logged out. It works inside and outside of
// [Manager.Handler], and of several nested ones it asks that of m. The answer
// to GET and HEAD is JSON that no cache keeps:
//
//	{"session":true,"logged_in":true,"expires_in_seconds":1740,"absolute_expires_in_seconds":84000}
//
// The seconds are rounded down, and 0 without a session. expires_in_seconds
// counts to the earlier of both timeouts. It can be up to a minute too low,
// since uses are written once a minute, and up to the freshness of the
// [CacheConfig] more with a cache. Any request that calls [FromContext]
// elsewhere is a use, and keeps the session for another [Config.IdleTimeout].
// If the session can't be loaded, [Config.ErrorHandler] answers.
func (m *Manager) StatusHandler() http.Handler {
	alone := m.Handler(http.HandlerFunc(m.serveStatus))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ref := m.refOf(r.Context()); ref != nil && ref.state.Load() != nil {
			m.serveStatus(w, r)
			return
		}
		alone.ServeHTTP(w, r)
	})
}

func (m *Manager) serveStatus(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
		return
	}
	x := m.refOf(r.Context()).state.Load()
	if x == nil { // a handler that outlives its request
		m.cfg.ErrorHandler(w, r, ErrRequestEnded)
		return
	}
	x.ignoreUse()
	s, err := m.Session(r.Context())
	if err != nil {
		x.answer(w, r, err)
		return
	}
	var answer status
	if info, ok := s.Info(); ok {
		answer = status{
			Session: true, LoggedIn: info.UserID != "",
			ExpiresIn:         seconds(info.ExpiresAt.Sub(info.ReadAt)),
			AbsoluteExpiresIn: seconds(info.AbsoluteExpiresAt.Sub(info.ReadAt)),
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(answer)
}

func seconds(d time.Duration) int64 { return max(0, int64(d/time.Second)) }
