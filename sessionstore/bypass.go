package sessionstore

import (
	"net/http"
	"reflect"
	"sync/atomic"
	"time"
)

const bypassAdvice = "wrap the whole router, as in http.ListenAndServe(addr, manager.Handler(router)); " +
	"a middleware inside the router must let its handlers write to the ResponseWriter that Handler gives it"

// bypassed is the commit of a response that was sent by another writer than
// ours: its header has gone, so nothing that needs a cookie can be kept. Values
// of a stored session and a logout are saved by end.
func (x *exchange) bypassed() {
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

// headerSent reports whether a server's writer, or one that a framework has put
// around it, has sent its header. net/http has no method to ask. Writers of gin
// and others have Written; those of net/http and many more have a field
// wroteHeader. A writer without either is taken for one that has sent nothing,
// so a change of those names costs a line of the log and no session.
func headerSent(w http.ResponseWriter) bool {
	for w != nil {
		if x, ok := w.(interface{ Written() bool }); ok && x.Written() {
			return true
		}
		if wroteHeader(reflect.ValueOf(w)) {
			return true
		}
		u, unwraps := w.(interface{ Unwrap() http.ResponseWriter })
		if !unwraps {
			break
		}
		w = u.Unwrap()
	}
	return false
}

func wroteHeader(v reflect.Value) bool {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return false
	}
	if f, ok := v.Type().FieldByName("wroteHeader"); ok && len(f.Index) == 1 && f.Type.Kind() == reflect.Bool {
		return v.FieldByIndex(f.Index).Bool()
	}
	if f, ok := v.Type().FieldByName("rws"); ok && len(f.Index) == 1 { // of HTTP/2
		return wroteHeader(v.FieldByIndex(f.Index))
	}
	return false
}

// seldom lets a line into the log once a minute. The zero value lets the first.
type seldom struct{ last atomic.Int64 }

func (s *seldom) due(now time.Time) bool {
	minute := now.Unix()/60 + 1
	last := s.last.Load()
	return last != minute && s.last.CompareAndSwap(last, minute)
}
