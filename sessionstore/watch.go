package sessionstore

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Watch binds a long response, such as a stream of events or a WebSocket, to
// the session. It returns a copy of ctx that is cancelled if the session ends
// on any instance, for any reason. That takes at most a second and one query.
// Call the CancelFunc when the connection ends. Watch may be called before and
// after the response has begun, and after a Hijack.
//
// [context.Cause] of the returned context is one of:
//   - [ErrNotFound]: the session was logged out, revoked or has expired, got a
//     new token from another request, or is not in the store yet. Begin the
//     response or call [Session.Save] before you watch a new session.
//   - [ErrUnavailable]: the store could not vouch for the session for 30 s, or
//     for the freshness of the cache and [Config.Outage.Grace] together if that
//     is longer; or [Manager.EndWatches] was called.
//   - [ErrRequestEnded]: Watch was called after the request.
//   - the cause of ctx.
//
// A new token of another request ends the context since the old token may be in
// other hands: [Session.Login] and [Session.Rotate] shut its owner out. A new
// token of this request does not. Browsers reconnect with their new cookie.
//
// An open connection is not a use: its session ends with the idle timeout if no
// request uses it. All connections of a Manager share one query a second. The
// Manager sends none while no connection is open.
func (s *Session) Watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	over, isStored := s.phase == phaseClosed, s.identity == stored
	s.mu.Unlock()
	queue := &s.core.watches
	w := &watch{session: s, cancel: cancel, known: time.Now()}
	switch {
	case over:
		cancel(ErrRequestEnded)
	case !isStored:
		cancel(errWatchEnded)
	case !queue.add(w):
		cancel(errWatchBlind)
	default:
		context.AfterFunc(ctx, func() { queue.remove(w) })
	}
	return ctx, func() {
		queue.remove(w)
		cancel(context.Canceled)
	}
}

// endedAs reports whether the session has ended, given that no row has this id
// of the session any more. It has not if this request gave it another id. While
// a save is under way, that is unknown until the next check.
func (s *Session) endedAs(id store.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.saving && (s.identity != stored || s.rec.ID == id)
}

// EndWatches cancels the context of each [Session.Watch], now and from now on,
// with [ErrUnavailable]. Give it to [http.Server.RegisterOnShutdown], since
// [http.Server.Shutdown] waits for open streams and [Manager.Close] comes after
// it. EndWatches may be called more than once.
func (m *Manager) EndWatches() { m.watches.close() }
