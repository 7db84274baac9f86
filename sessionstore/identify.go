package sessionstore

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// emergencyAge is for how long an instance takes a session of an emergency that
// it does not find for one that another instance has yet to restore.
const emergencyAge = 5 * time.Minute

// identify finds out which session the request has.
func (x *exchange) identify(ctx context.Context) error {
	m, s := x.m, &x.session
	var room [maxPresented]ticket
	tickets, outcome := m.cookie.read(x.request, room[:0])
	s.vacant = x.vacancy()
	s.identity = s.vacant
	switch outcome {
	case presentedForged:
		m.observe(ctx, Event{Kind: EventForged})
	case presentedTooMany:
		x.strays, x.ambiguous = true, true
		m.observe(ctx, Event{Kind: EventAmbiguous})
	case presentedTickets:
		x.strays = len(tickets) > 1
		return x.choose(ctx, tickets)
	}
	return nil
}

// vacancy says what the request has if its cookie leads to no session. A
// browser sends a SameSite=Strict cookie with no request that another site
// caused, and a Lax one with no form of another site. A session that began in
// the answer would replace the one whose cookie stayed behind. A cookie of our
// name that came all the same is of another spelling, which a sibling host may
// have planted.
func (x *exchange) vacancy() identity {
	cfg, r := &x.m.cfg.Cookie, x.request
	if cfg.SameSite == http.SameSiteNoneMode || r.Header.Get("Sec-Fetch-Site") != "cross-site" {
		return none
	}
	if safe(r.Method) && !(cfg.marks() && x.m.cookie.marked(r)) {
		return none
	}
	return withheld
}

// safe reports whether a method asks for nothing to be changed.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// choose loads the session of the tickets. If there are several, the one that
// is alive counts. Two that are alive count as none: the newest may be that of
// an attacker on a sibling host, who would get the user to work in it.
func (x *exchange) choose(ctx context.Context, tickets []ticket) error {
	m := x.m
	if len(tickets) > 1 {
		ids := make([]store.ID, len(tickets))
		for i := range tickets {
			ids[i] = tickets[i].token.id()
		}
		alive, _, err := m.store.Alive(ctx, ids)
		switch {
		case err != nil:
			return x.notLoaded(ctx, err)
		case len(alive) > 1:
			for _, id := range alive {
				x.session.presented = append(x.session.presented, doomed{Record: store.Record{ID: id}})
			}
			x.ambiguous = true
			m.observe(ctx, Event{Kind: EventAmbiguous})
			return nil
		case len(alive) == 1:
			for i := range tickets {
				if ids[i] == alive[0] {
					tickets[0] = tickets[i]
				}
			}
		default: // one of an emergency may be alive where it was made
			for i := range tickets {
				if tickets[i].made > tickets[0].made {
					tickets[0] = tickets[i]
				}
			}
		}
	}
	return x.take(ctx, tickets[0])
}

// take loads the session of a ticket.
func (x *exchange) take(ctx context.Context, t ticket) error {
	m, s := x.m, &x.session
	rec, err := m.store.Load(ctx, t.token.id(), int64(t.floor))
	if err == nil && t.made > 0 && bars(&rec) {
		err = ErrNotFound
	} else if errors.Is(err, ErrNotFound) && !errors.Is(err, ErrExpired) && t.made > 0 {
		s.presented = []doomed{{Record: store.Record{ID: t.token.id()}, unrestored: true}}
	}
	switch {
	case errors.Is(err, ErrNotFound):
		// The cookie stays. Were it cleared, this response could overtake that
		// of a login in another tab, whose cookie has the same name, and log
		// the user out.
		e := Event{Kind: EventUnknown, Handle: t.token.id().Handle()}
		if errors.Is(err, ErrExpired) {
			e.Kind = EventExpired
		} else if age := time.Since(time.Unix(int64(t.made), 0)); t.made > 0 && age.Abs() < emergencyAge {
			s.identity, s.vacant = withheld, withheld
			e.Detail = "made in the emergency of another instance, which has yet to restore it"
		}
		m.observe(ctx, e)
	case err != nil:
		return x.notLoaded(ctx, err)
	default:
		x.had.ticket = t
		s.identity, s.rec, s.token, s.floor = stored, rec, t.token, int64(t.floor)
		s.persist, s.kept = t.persistent, t.persistent
		if rec.UserAgent != "" && s.client.UserAgent != rec.UserAgent && fetches(s.client.UserAgent) {
			s.client.UserAgent = rec.UserAgent // it fetches for that browser
		}
		x.suspect(ctx)
	}
	return nil
}

func (x *exchange) notLoaded(ctx context.Context, err error) error {
	if !errors.Is(err, context.Canceled) { // who has left misses nothing
		x.m.observe(ctx, Event{Kind: EventLoadFailed, Err: err})
	}
	return err
}
