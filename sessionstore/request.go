package sessionstore

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// requestState is one request and its response, as far as the session is
// concerned.
type requestState struct {
	core    *core
	request *http.Request
	header  http.Header
	started time.Time // before the handler: a login began no earlier
	own     ownMarks
	before  http.Header // the header when Handler began; nil if it was empty

	loading   sync.Mutex // held over the load, so that two goroutines of one request load once
	asked     bool       // for the session, and so for the cookie
	loaded    bool
	committed bool
	noted     bool // the use of the session
	moved     bool // the session, to a place that is to be noted at once
	status    int  // of the response that began; 0 before
	failed    bool // to commit: the client was told so
	ended     bool
	brought   cookieState // what the request brought
	strays    bool        // it brought other cookies of our name, too
	ambiguous bool        // it brought two whose sessions are alive, or too many
	session   Session
}

// requestRef is the value in a request's context. A context may outlive its
// request, as in an event that waits. What the request holds, such as its
// headers, must not.
type requestRef struct{ state atomic.Pointer[requestState] } // nil when the request is over

// userID returns the user of the request's session.
func (r *requestRef) userID() string {
	if x := r.state.Load(); x != nil {
		return x.userID()
	}
	return ""
}

// ownMarks returns the marks of the request's revokes.
func (r *requestRef) ownMarks() *ownMarks {
	if x := r.state.Load(); x != nil {
		return &x.own
	}
	return nil
}

func (x *requestState) load(ctx context.Context) error {
	x.loading.Lock()
	defer x.loading.Unlock()
	switch {
	case x.ended:
		return ErrRequestEnded
	case x.loaded:
		return nil
	}
	ctx = withoutSession(ctx)
	c, s := x.core, &x.session
	x.asked = true
	if !c.cfg.Privacy.DisableMetadata {
		s.client = c.clientOf(x.request)
	}
	if err := x.identify(ctx); err != nil {
		return err
	}
	s.core, s.headersSent, s.started, s.own = c, x.committed, x.started, &x.own
	x.loaded = true
	return nil
}

// commit saves what the handler did and writes the cookie. It runs once, just
// before the first byte of the response. With a status of 500 or more, it
// discards what is pending instead: only a logout is carried out.
func (x *requestState) commit(status int) error {
	x.loading.Lock()
	defer x.loading.Unlock()
	x.committed, x.status = true, status
	if x.asked {
		addVaryCookie(x.header)
		keepPrivate(x.header)
	}
	if !x.loaded {
		return nil
	}
	s := &x.session

	// From here on, what needs a cookie is too late: a logout beside the save below must not believe it was heard.
	pending := s.headersGo()
	if status >= http.StatusInternalServerError {
		pending = x.void()
	}
	if pending {
		if err := x.save(); err != nil {
			return err
		}
	} else {
		x.forgetDead()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	x.noteUse()
	x.writeCookies()
	x.sayWithheld()
	return nil
}

// save saves for the response. A session that was ended meanwhile is no reason to withhold it.
func (x *requestState) save() error {
	c, s := x.core, &x.session
	rec, stored := s.Record()
	e := Event{UserID: rec.UserID}
	if stored {
		e.Handle = rec.ID.Handle()
	}

	ctx := x.request.Context()
	err := x.persist(s.save)
	if errors.Is(err, ErrOutcomeUnknown) && s.rotating() {
		err = x.persist(s.save) // repeats the change of token, with the same new token
	}
	switch {
	case errors.Is(err, ErrNotFound):
		e.Kind = EventChangeLost
		c.observe(ctx, e)
		return nil
	case err != nil:
		keepForError(x.header, x.before)
		x.fail()
		e.Kind, e.Err = EventSaveFailed, err
		c.observe(ctx, e)
	}
	return err
}

// forgetDead forgets a session that ended while the handler ran, if the
// response would write its token again, as for RememberMe, after a Save that
// the cache did not acknowledge or while a key is replaced. The browser may
// have another one by now, from a login.
func (x *requestState) forgetDead() {
	s := &x.session
	s.mu.Lock()
	id, again := s.rec.ID, s.identity == stored && s.token == x.brought.Token &&
		(s.persist != x.brought.Persistent || uint64(s.minVersion) > x.brought.MinVersion || x.brought.Stale && topLevel(x.request))
	s.mu.Unlock()
	if !again {
		return
	}
	_ = x.persist(func(ctx context.Context) error {
		alive, _, err := x.core.store.Alive(ctx, []store.ID{id})
		if err == nil && len(alive) == 0 {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.identity == stored && s.rec.ID == id {
				s.forget()
			}
		}
		return err
	})
}

// persist runs a save with a bound of its own: a client that hung up has still
// put something into its cart.
func (x *requestState) persist(save func(context.Context) error) error {
	ctx := withoutSession(context.WithoutCancel(x.request.Context()))
	ctx, cancel := context.WithTimeout(ctx, x.core.cfg.StoreTimeout)
	defer cancel()
	return save(ctx)
}

// void discards what is pending, for a response that reports a failure of the
// server. It waits for a Save that is under way, whose new token the response
// must bring, and reports whether a logout is left to do.
func (x *requestState) void() (logout bool) {
	s := &x.session
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	x.discard()
	return len(s.deletes) > 0
}

// discard is Session.Discard for a response that reports a failure of the
// server. The caller holds s.mu.
func (x *requestState) discard() {
	s := &x.session
	if s.unsaved() {
		x.core.observe(withoutSession(x.request.Context()), Event{
			Kind: EventDiscarded, Handle: s.handle(), UserID: s.rec.UserID,
			Detail: "the response is an error of the server; call Session.Save to keep changes in spite of it",
		})
	}
	s.discard()
}

// fail writes what the browser must know although the response is withheld. What was pending is void: an ErrorHandler's own Save
// would move the session to a token that the browser never gets. For the same
// reason it waits for a Save that is under way.
func (x *requestState) fail() {
	x.failed = true
	s := &x.session
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.discard()
	x.writeCookies()
}

// abandon voids what a handler that panicked has changed and not saved. The
// response of whoever recovers must bring a token that its own Save has
// changed.
func (x *requestState) abandon() {
	x.loading.Lock()
	defer x.loading.Unlock()
	if !x.loaded {
		return
	}
	if x.committed {
		x.session.Discard()
		return
	}
	x.committed = true
	x.session.headersGo()
	x.fail()
}

// noteUse queues a touch, unless one was made within the touch interval. A save counts as one. A session that moved is touched
// anyway, so that the next request from there is not suspicious again.
func (x *requestState) noteUse() {
	s := &x.session
	if x.noted || s.identity != stored || !x.moved && storeNow(&s.rec).Sub(s.rec.LastSeenAt) < x.core.expiry.TouchInterval() {
		return
	}
	x.noted = true
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
// the first byte is saved now; the client can't hear of it if that fails.
func (x *requestState) end() {
	x.loading.Lock()
	defer x.loading.Unlock()
	x.ended = true
	if !x.loaded {
		return
	}
	c, s := x.core, &x.session
	s.mu.Lock()
	e := Event{Handle: s.handle(), UserID: s.rec.UserID}
	if x.status >= http.StatusInternalServerError {
		x.discard()
	}
	late := !x.failed && (s.identity == stored && len(s.edits) > 0 || len(s.deletes) > 0)
	s.ended = !late
	s.mu.Unlock()

	if late {
		switch err := x.persist(s.finish); {
		case errors.Is(err, ErrNotFound):
			e.Kind = EventChangeLost
			c.observe(x.request.Context(), e)
		case err != nil:
			e.Kind, e.Err = EventChangeLate, err
			c.observe(x.request.Context(), e)
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	x.noteUse()
}

// begin commits the session for a response that is about to be sent by w. When
// that fails it sends an error in place of the response.
func (x *requestState) begin(w http.ResponseWriter, status int) error {
	err := x.commit(status)
	if err == nil {
		return nil
	}
	forbidCaching(x.header)
	answer := &response{ResponseWriter: w, request: x.request, commit: func(int) error { return nil }}
	x.core.cfg.ErrorHandler(answer.wrap(), x.request, err)
	if !answer.begun { // an ErrorHandler that sends nothing must not look like success
		answer.WriteHeader(http.StatusInternalServerError)
	}
	// A Save that the handler makes now would move the session to a token that
	// the browser never gets.
	x.end()
	return err
}

// sayWithheld logs the remedy, once for links and once for forms. The caller
// holds s.mu.
func (x *requestState) sayWithheld() {
	c, s, r := x.core, &x.session, x.request
	switch {
	case !s.ephemeral() || s.goesOn || r.Header.Get("Sec-Fetch-Site") != "cross-site":
	case safe(r.Method) && c.warned.link.CompareAndSwap(false, true):
		c.cfg.Logger.Warn("session cookie withheld from a link", "advice", withheldLinkAdvice)
	case !safe(r.Method) && len(s.edits) > 0 && c.warned.form.CompareAndSwap(false, true):
		c.cfg.Logger.Warn("session cookie withheld from a form", "advice", withheldFormAdvice)
	}
}

// userID is who is logged in, if the request has asked for its session.
func (x *requestState) userID() string {
	x.loading.Lock()
	defer x.loading.Unlock()
	if !x.loaded {
		return ""
	}
	return x.session.UserID()
}

const (
	withheldLinkAdvice = "begin pages that need the session with ServeWithheld, or set SESSION_COOKIE_SAMESITE=lax"
	withheldFormAdvice = "keep what the answer needs in a cookie of its own with SameSite=None; a Login is kept: see docs/guides/login.md"
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
	c, s := x.core, &x.session
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
		c.observe(x.request.Context(), e)
	}
	if c.warned.bypassed.due(time.Now()) {
		c.cfg.Logger.ErrorContext(withoutSession(x.request.Context()),
			"response bypassed the session writer: no cookie sent", "advice", bypassAdvice)
	}
}
