package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// requestState is one request and its response, as far as the session is
// concerned. How far they have come is the phase of its session.
type requestState struct {
	core    *core
	request *http.Request
	writer  http.ResponseWriter // the server's
	header  http.Header         // of the response
	outer   *requestRef         // of a Handler around this one; nil for none
	initial initialHeader
	own     *ownMarks // of all Handlers around the request
	marks   ownMarks  // own, in the outermost one

	// mu is held over each step of the request, with its I/O: goroutines that
	// ask for the session load it once, and a commit waits for a load. It comes
	// before the session's mu, and guards all that follows.
	mu      stepLock
	load    loadState
	use     useState
	status  int  // of the response that began; 0 before
	private bool // shared caches do not keep that response
	brought broughtCookies
	session Session

	refusal error // that an ErrorHandler answers; nil for none. The session's mu guards it.

	// ready is true if load is loaded, for readers without mu: what holds
	// mu may wait for them.
	ready atomic.Bool
}

// loadState is whether the handler asked for the session.
type loadState uint8

const (
	notAsked   loadState = iota // the response does not depend on the cookie
	loadFailed                  // the next call tries again
	loaded
)

// useState is whether this use of the session is to be noted.
type useState uint8

const (
	useOfInterval useState = iota // if none was noted within the touch interval
	useAtOnce                     // in any case: the session is used from elsewhere
	useNoted
	useIgnored // the request only looks: see StatusHandler
)

// userID returns the user, if the handler has asked for the session.
func (x *requestState) userID() string {
	if !x.ready.Load() {
		return ""
	}
	return x.session.UserID()
}

// stateOf returns the state of a request that came through [Manager.Handler].
func stateOf(r *http.Request) (*requestState, bool) {
	ref, ok := r.Context().Value(contextKey{}).(*requestRef)
	if !ok {
		return nil, false
	}
	x := ref.state.Load()
	return x, x != nil
}

// ignoreUse makes the request no use of its session.
func (x *requestState) ignoreUse() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.use = useIgnored
}

// loadOnce loads the session, unless that was done. ctx also bounds the wait
// for another goroutine that loads it.
func (x *requestState) loadOnce(ctx context.Context) error {
	s := &x.session
	if !x.ready.Load() {
		if err := x.mu.LockUntil(ctx); err != nil {
			return fmt.Errorf("waiting for another load: %w: %w", ErrUnavailable, err)
		}
		defer x.mu.Unlock()
	}
	switch {
	case s.now() == phaseClosed:
		return ErrRequestEnded
	case x.ready.Load():
		return nil
	}
	x.load = loadFailed
	if !x.core.cfg.Privacy.DisableMetadata {
		s.client = x.core.clientOf(x.request)
	}
	if err := x.identify(withoutSession(ctx)); err != nil {
		return err
	}
	s.core, s.own = x.core, x.own
	x.load = loaded
	x.ready.Store(true)
	if s.now() == phaseSent {
		x.logLateLoad()
	}
	return nil
}

const lateLoadAdvice = "call FromContext before the response begins, " +
	"or set Cache-Control: private and Vary: Cookie before"

// logLateLoad logs once that the session was first used after the response had
// begun: a shared cache may give such a response to another user.
func (x *requestState) logLateLoad() {
	if !x.private && x.status != http.StatusSwitchingProtocols &&
		x.core.warned.late.CompareAndSwap(false, true) {
		x.core.cfg.Logger.Warn("session used after the response began", "advice", lateLoadAdvice)
	}
}

// begun reports whether the response has begun.
func (x *requestState) begun() bool { return x.session.now() != phaseOpen }

// commitOnce is called before each byte of the response. The first call commits
// the session. If that fails, it sends an error in place of the response, and
// each call returns the error.
func (x *requestState) commitOnce(status int) error {
	if x.begun() {
		return x.refused()
	}
	err := x.commit(status)
	if err != nil {
		x.refuse(err)
	}
	return err
}

// refused returns the error that an ErrorHandler answers in place of the
// response; nil for none.
func (x *requestState) refused() error {
	x.session.mu.Lock()
	defer x.session.mu.Unlock()
	return x.refusal
}

// commit saves what the handler did and writes the cookie. It runs once, just
// before the first byte of the response. With a status of 500 or more, it
// discards what is pending instead: only a logout is carried out.
func (x *requestState) commit(status int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &x.session
	x.status = status
	if status == http.StatusUnauthorized && x.core.cfg.Bearer &&
		x.header.Get("WWW-Authenticate") == "" {
		x.header.Set("WWW-Authenticate", "Bearer") // RFC 9110, 15.5.2: a 401 has one
	}
	if x.load != notAsked {
		addVary(x.header, x.core.varies())
		keepPrivate(x.header)
	}
	x.private = isPrivate(x.header)
	if x.load != loaded {
		s.enter(phaseSent)
		return nil
	}

	// From here on, what needs a cookie is too late: a Logout beside the save
	// below gets an error.
	pending := s.enter(phaseCommitting)
	if status >= http.StatusInternalServerError {
		pending = x.void()
	}
	if pending {
		if err := x.save(); err != nil {
			return err
		}
	} else {
		x.forgetEnded()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phaseSent
	x.noteUse()
	x.writeCookies()
	x.logWithheld()
	return nil
}

// varies returns the header of a request that a response depends on.
func (c *core) varies() string {
	if c.cfg.Bearer {
		return "Authorization"
	}
	return "Cookie"
}

// now returns the phase.
func (s *Session) now() phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase
}

// enter begins a phase of the request. It returns whether a save has anything
// to do, or to wait for.
func (s *Session) enter(p phase) (pending bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = p
	return s.saving || len(s.next.deletes) > 0 || s.unsaved()
}

// save saves for the response. If the session was ended meanwhile, the response
// is sent all the same.
func (x *requestState) save() error {
	s := &x.session
	rec, isStored := s.current() // an error may empty the session
	event := func(kind EventKind, err error) Event {
		e := eventOf(&rec)
		e.Kind, e.Err = kind, err
		if !isStored {
			e.Handle = ""
		}
		return e
	}

	ctx := x.request.Context()
	err := x.persist(s.save)
	if errors.Is(err, ErrOutcomeUnknown) && s.rotated() {
		err = x.persist(s.save) // repeats the Rotate, with the same new token
	}
	switch {
	case errors.Is(err, ErrNotFound):
		x.core.observe(ctx, event(EventChangeLost, nil))
		return nil
	case err != nil:
		x.initial.restore(x.header)
		x.fail(err)
		if !refusesLogin(err) { // which has an event already
			x.core.observe(ctx, event(EventSaveFailed, err))
		}
	}
	return err
}

// rotated reports whether the outcome of a Rotate is unknown.
func (s *Session) rotated() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next.rotated != nil
}

// persist runs a save with a bound of its own: the change of a client that hung
// up counts too.
func (x *requestState) persist(save func(context.Context) error) error {
	ctx := withoutSession(context.WithoutCancel(x.request.Context()))
	return within(ctx, x.core.cfg.StoreTimeout, save)
}

// forgetEnded forgets a session that ended while the handler ran, if the
// response would write its token again, as for RememberMe, after a Save that
// the cache did not acknowledge or while a key is replaced. The browser may
// have another token by now, from a login.
func (x *requestState) forgetEnded() {
	s := &x.session
	s.mu.Lock()
	id := s.rec.ID
	after := x.dueCookies()
	again := (after.Token == x.brought.Token || x.brought.adopted) &&
		cookieOps(x.brought, after, false).session == writeCookie
	s.mu.Unlock()
	if !again {
		return
	}
	_ = x.persist(func(ctx context.Context) error {
		alive, _, err := x.core.store.Alive(ctx, []store.ID{id})
		if err != nil || len(alive) > 0 {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.awaitSave(ctx); err == nil && s.identity == stored && s.rec.ID == id {
			s.forget()
		}
		return nil
	})
}

// void discards what is pending, for a response that reports a failure of the
// server. It waits for a Save that is under way, whose new token the response
// must bring, and returns whether a logout is left to do. Config.StoreTimeout
// bounds each Save.
func (x *requestState) void() (logout bool) {
	s := &x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.awaitSave(context.Background())
	x.discard()
	return len(s.next.deletes) > 0
}

// discard is Session.Discard for a response that reports a failure of the
// server. The caller holds s.mu.
func (x *requestState) discard() {
	s := &x.session
	if s.unsaved() {
		e := s.event(EventDiscarded)
		e.Detail = "the response is an error of the server; " +
			"call Session.Save to keep changes in spite of it"
		x.core.observe(withoutSession(x.request.Context()), e)
	}
	s.discard()
}

// fail refuses the response, and writes the cookies that the browser needs all
// the same: a Save may have given the session a new token. What is pending is
// void, since an ErrorHandler's own Save would rotate to a token that the
// browser never gets. For the same reason fail waits for a Save that is under
// way.
func (x *requestState) fail(err error) {
	s := &x.session
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.awaitSave(context.Background())
	s.phase, x.refusal = phaseRefused, err
	s.discard()
	x.writeCookies()
}

// refuse sends an error in place of the response.
func (x *requestState) refuse(err error) {
	discardAll(x.request)
	forbidCaching(x.header)
	answer := &errorAnswer{}
	w := wrap(x.writer, x.request, answer)
	x.core.cfg.ErrorHandler(w, x.request, err)
	if !answer.sent { // an ErrorHandler that sends nothing must not look like success
		w.WriteHeader(http.StatusInternalServerError)
	}
	// A Save that the handler makes now would rotate to a token that the
	// browser never gets.
	x.end()
}

// errorAnswer is the response of an ErrorHandler. It commits nothing.
type errorAnswer struct{ sent bool }

func (a *errorAnswer) begun() bool { return a.sent }

func (a *errorAnswer) commitOnce(int) error {
	a.sent = true
	return nil
}

// abandon ends the request of a handler that panicked as a response with status
// 500 does: the handler's changes are void, a logout is carried out. A response
// that reports the panic must bring a token that the handler's own Save has
// changed. The panic may be one within the commit.
func (x *requestState) abandon() {
	x.session.Discard() // without an event: the panic says more
	switch x.session.now() {
	case phaseOpen, phaseCommitting:
		_ = x.commit(http.StatusInternalServerError)
	}
}

const bypassAdvice = "wrap the whole router, " +
	"as in http.ListenAndServe(addr, manager.Handler(router)); " +
	"a middleware inside the router must let its handlers write to the ResponseWriter " +
	"that Handler gives it"

// bypassed is the commit of a response that was sent by another writer than
// ours. Its header is sent, so nothing that needs a cookie can be kept. Values
// of a stored session and a logout are saved by end.
func (x *requestState) bypassed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &x.session
	s.mu.Lock()
	s.phase = phaseSent
	if x.load != loaded {
		s.mu.Unlock()
		return
	}
	lost := s.next.auth.step != noStep || s.next.rotate || s.expires() ||
		s.identity != stored && s.edited() && !s.ephemeral()
	e := s.event(EventChangeLate)
	e.Detail = "needs a cookie, and the response bypassed the session's writer"
	if lost {
		s.discard()
	}
	s.mu.Unlock()
	if lost {
		x.core.observe(x.request.Context(), e)
	}
	if x.core.warned.bypassed.due(time.Now()) {
		x.core.cfg.Logger.ErrorContext(withoutSession(x.request.Context()),
			"response bypassed the session writer: no cookie sent", "advice", bypassAdvice)
	}
}

// noteUse queues a touch. A save counts as one. The touch of a session that is
// used from elsewhere keeps the next request from there from being suspicious.
// The caller holds s.mu.
func (x *requestState) noteUse() {
	s := &x.session
	switch {
	case s.identity != stored || x.use == useNoted || x.use == useIgnored:
		return
	case x.use == useOfInterval &&
		storeNow(&s.rec).Sub(s.rec.LastSeenAt) < x.core.expiry.TouchInterval():
		return
	}
	x.use = useNoted
	t := store.Touch{ID: s.rec.ID}
	if s.client.IP != s.rec.IP {
		t.IP = s.client.IP
	}
	if s.client.UserAgent != s.rec.UserAgent {
		t.UserAgent = s.client.UserAgent
	}
	x.core.touches.add(t)
}

// end closes the session: the request is over. What the handler changed after
// the first byte is saved now. If that fails, the client does not learn of it.
func (x *requestState) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := &x.session
	s.mu.Lock()
	if x.load != loaded || s.phase == phaseClosed {
		s.phase = phaseClosed
		s.mu.Unlock()
		return
	}
	if x.status >= http.StatusInternalServerError {
		x.discard()
	}
	late := s.phase != phaseRefused &&
		(s.identity == stored && s.edited() || len(s.next.deletes) > 0)
	var e Event
	if late { // most requests need none, and its handle is a hash
		e = s.event(EventChangeLost)
	} else {
		s.phase = phaseClosed
	}
	s.mu.Unlock()

	if late {
		switch err := x.persist(s.finish); {
		case errors.Is(err, ErrNotFound):
			x.core.observe(x.request.Context(), e)
		case err != nil:
			e.Kind, e.Err = EventChangeLate, err
			x.core.observe(x.request.Context(), e)
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	x.noteUse()
}

const (
	withheldLinkAdvice = "begin pages that need the session with ServeWithheld, " +
		"or set SESSION_COOKIE_SAMESITE=lax"
	withheldFormAdvice = "keep what the answer needs in a cookie of its own with SameSite=None; " +
		"a Login is kept: see docs/guides/other-sites.md"
)

// logWithheld logs the remedy, once for links and once for forms. The caller
// holds s.mu.
func (x *requestState) logWithheld() {
	c, s, r := x.core, &x.session, x.request
	switch {
	case !s.ephemeral() || s.continued || r.Header.Get("Sec-Fetch-Site") != "cross-site":
	case safe(r.Method) && c.warned.link.CompareAndSwap(false, true):
		c.cfg.Logger.Warn("session cookie withheld from a link", "advice", withheldLinkAdvice)
	case !safe(r.Method) && s.edited() && c.warned.form.CompareAndSwap(false, true):
		c.cfg.Logger.Warn("session cookie withheld from a form", "advice", withheldFormAdvice)
	}
}
