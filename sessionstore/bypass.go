package sessionstore

import (
	"sync/atomic"
	"time"
)

const bypassAdvice = "wrap the whole router, as in http.ListenAndServe(addr, manager.Handler(router)); " +
	"a middleware inside the router must let its handlers write to the ResponseWriter that Handler gives it"

// bypassed is the commit of a response that was sent by another writer than
// ours: its header has gone, so nothing that needs a cookie can be kept. Values
// of a stored session and a logout are saved by end.
func (x *requestState) bypassed() {
	x.loading.Lock()
	defer x.loading.Unlock()
	x.committed = true
	if !x.loaded {
		return
	}
	m, s := x.m, &x.session
	s.headersGo()
	s.mu.Lock()
	lost := s.userID != "" || s.renew || s.identity != stored && len(s.edits) > 0 && !s.ephemeral()
	e := Event{
		Kind: EventChangeLate, Handle: s.handle(), UserID: s.rec.UserID,
		Detail: "needs a cookie, and the response bypassed the session's writer",
	}
	if lost {
		s.discard()
	}
	s.mu.Unlock()
	if lost {
		m.observe(x.request.Context(), e)
	}
	if m.saidBypassed.due(time.Now()) {
		m.cfg.Logger.ErrorContext(withoutSession(x.request.Context()),
			"response bypassed the session writer: no cookie sent", "advice", bypassAdvice)
	}
}

// seldom lets a line into the log once a minute. The zero value lets the first.
type seldom struct{ last atomic.Int64 }

func (s *seldom) due(now time.Time) bool {
	minute := now.Unix()/60 + 1
	last := s.last.Load()
	return last != minute && s.last.CompareAndSwap(last, minute)
}
