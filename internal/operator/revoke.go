package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func checkRevoke(o *options) error {
	names := []string{"user", "handle", "before", "all"}
	if o.has("user") && o.has("handle") {
		names = names[1:]
	}
	if err := o.onlyOne("revoke", names...); err != nil {
		return err
	}
	if o.has("handle") {
		if err := checkHandle(o.handle); err != nil {
			return err
		}
	}
	if len(o.actor) > maxNote || len(o.note) > maxNote {
		return fmt.Errorf("-actor and -note have at most %d bytes", maxNote)
	}
	return checkUser(o)
}

// maxNote is what the table of events keeps of each.
const maxNote = 1024

// progressInterval is the time between two lines of progress.
const progressInterval = time.Second

// revoked is the output of revoke -json.
type revoked struct {
	Ended int `json:"ended"`
	// Committed: Postgres has ended them, durably.
	Committed bool `json:"committed"`
	// Cache is none, acknowledged or not acknowledged.
	Cache string `json:"cache"`
	// ServedFor is for how long an instance may serve them from its cache.
	ServedFor float64 `json:"served_for_at_most_seconds"`
}

// revoke ends sessions.
func revoke(ctx context.Context, c *call) error {
	i, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer i.close()
	ctx = sessionstore.WithActor(ctx, c.actor, c.note)
	last := c.now()
	ctx = sessionstore.WithProgress(ctx, func(ended int) {
		if now := c.now(); now.Sub(last) >= progressInterval {
			last = now
			_, _ = fmt.Fprintf(c.progress, "sessions ended so far: %d\n", ended)
		}
	})
	var r sessionstore.Revocation
	switch {
	case c.has("handle"):
		r, err = i.revokeHandle(ctx, c.user, c.handle)
	case c.has("user"):
		r, err = i.RevokeUser(ctx, c.user)
	case c.has("before"):
		var at time.Time
		if at, err = i.instant(ctx, c.before); err != nil {
			return err
		}
		if err = c.confirmed(ctx, i, at); err == nil {
			r, err = i.RevokeBefore(ctx, at)
		}
	case c.has("all"):
		if err = c.confirmed(ctx, i, time.Time{}); err == nil {
			r, err = i.RevokeAll(ctx)
		}
	default:
		return errNoSelection
	}
	if errors.As(err, new(misused)) {
		return err
	}
	return errors.Join(again(r, err), c.printRevoked(i, r, err))
}

// again says after an error what to do.
func again(r sessionstore.Revocation, err error) error {
	if err == nil || errors.Is(err, errNone) {
		return err
	}
	return fmt.Errorf("sessions ended: %d, then: %w: repeat the command, it goes on from there",
		r.Count, err)
}

// errNoSelection: the check of a command line has let one pass that selects no
// session.
var errNoSelection = misused{errors.New("no session is selected")}

// errNone: the session of a handle is not there.
var errNone = errors.New("nothing ended")

// revokeHandle ends the session that has a handle.
func (i *installation) revokeHandle(
	ctx context.Context, userID, handle string,
) (sessionstore.Revocation, error) {
	f := found{userID: userID}
	if userID == "" {
		var err error
		if f, err = i.find(ctx, handle); err != nil {
			return sessionstore.Revocation{}, fmt.Errorf("%w: %w", errNone, err)
		}
	}
	if f.userID == "" { // a visitor's
		r, err := i.Store().Delete(ctx, f.id)
		if err == nil && r.Missed {
			return r, fmt.Errorf("%w: %w", errNone, noSession(handle))
		}
		if err == nil {
			r.Count = 1
		}
		return r, err
	}
	r, err := i.Revoke(ctx, f.userID, store.Handle(handle))
	if errors.Is(err, sessionstore.ErrNotFound) {
		return r, fmt.Errorf("%w: %w, or it is another user's", errNone, noSession(handle))
	}
	return r, err
}

// confirmed returns an error without -yes, with the number of sessions that
// would end: those before a time, or all.
func (c *call) confirmed(ctx context.Context, i *installation, at time.Time) error {
	if c.yes {
		return nil
	}
	if at.IsZero() {
		stats, err := i.Estimate(ctx)
		if err != nil {
			return err
		}
		about := ""
		if !stats.Exact {
			about = "about "
		}
		return misused{fmt.Errorf("nothing ended: it would end all sessions of %s: %s%d: add -yes",
			i.place(), about, stats.Active)}
	}
	const older = `SELECT pg_catalog.count(*) FROM pgsession.sessions AS s
		WHERE least(s.created_at, s.authenticated_at) OPERATOR(pg_catalog.<) $1::timestamptz
			AND s.expires_at OPERATOR(pg_catalog.>) pg_catalog.now()`
	var n int
	if _, err := i.row(ctx, older, []any{at}, []any{&n}); err != nil {
		return err
	}
	return misused{fmt.Errorf("nothing ended: it would end the sessions that began before %s UTC"+
		" of %s: %d: add -yes", clock(at), i.place(), n)}
}

// moment reads a time: of RFC 3339, a date, or an age, by Postgres's clock. It
// returns what that shows, too.
func (i *installation) moment(
	ctx context.Context, flag, text string,
) (at, now time.Time, err error) {
	if _, err := i.row(ctx, "SELECT pg_catalog.now()", nil, []any{&now}); err != nil {
		return at, now, err
	}
	at, err = time.Parse(time.RFC3339Nano, text)
	if err != nil {
		at, err = time.ParseInLocation(time.DateOnly, text, time.UTC)
	}
	if age, isAge := ageOf(text); err != nil && isAge {
		at, err = now.Add(-age), nil
	}
	if err != nil {
		err = misused{fmt.Errorf("%s %q: write a time with its zone, such as %s, a date"+
			" in UTC, such as %s, or an age, such as 72h or 30d", flag, printable(text),
			now.UTC().Format(time.RFC3339), now.UTC().Format(time.DateOnly))}
	}
	return at, now, err
}

// instant reads a time that is not in the future.
func (i *installation) instant(ctx context.Context, text string) (time.Time, error) {
	at, now, err := i.moment(ctx, "-before", text)
	if err != nil {
		return at, err
	}
	if ahead := at.Sub(now); ahead > 0 && ahead < clockSlack {
		at = now
	}
	switch {
	case at.After(now):
		return at, misused{fmt.Errorf("-before %s: that is in the future, Postgres has %s UTC:"+
			" for all sessions give -all", printable(text), clock(now))}
	case at.Year() < firstYear:
		return at, misused{fmt.Errorf("-before %s: no session is as old as that", printable(text))}
	}
	return at, nil
}

// ageOf reads a duration of Go, or a number of days.
func ageOf(text string) (age time.Duration, ok bool) {
	age, err := time.ParseDuration(text)
	if days, found := strings.CutSuffix(text, "d"); found {
		n, dayErr := strconv.Atoi(days)
		age, err = time.Duration(min(n, maxDays))*24*time.Hour, dayErr
	}
	return age, err == nil && age > 0
}

// maxDays is more than a session can be old.
const maxDays = 10_000

// clockSlack is how far the clock of the operator may be ahead of Postgres's.
// No session began in between.
const clockSlack = time.Minute

// firstYear is that of the oldest time which a row of the table can have.
const firstYear = 1970

// outcome returns what revoke -json prints.
func (i *installation) outcome(r sessionstore.Revocation) revoked {
	out := revoked{
		Ended: r.Count, Committed: r.Committed, Cache: "none", ServedFor: r.MaxExposure.Seconds(),
	}
	switch {
	case i.cached() && r.CacheAcked:
		out.Cache = "acknowledged"
	case i.cached():
		out.Cache = "not acknowledged"
	}
	return out
}

// printRevoked prints how many sessions ended, of which installation, and what
// the cache knows.
func (c *call) printRevoked(i *installation, r sessionstore.Revocation, failed error) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(i.outcome(r))
	}
	if failed != nil {
		return nil // the error has the number
	}
	expired := ""
	if c.has("all") || c.has("before") {
		expired = ", with those that had expired"
	}
	_, _ = fmt.Fprintf(c.out, "sessions ended: %d%s (%s)\n", r.Count, expired, i.place())
	switch served := r.MaxExposure; {
	case !i.cached():
		_, _ = fmt.Fprintln(c.out, "no cache is set here: if the application has one, its"+
			" instances may serve them for its freshness, its grace and 250 ms")
	case served == 0:
		// Entries of another environment have other keys.
		_, _ = fmt.Fprintf(c.out, "Redis has acknowledged: no instance with APP_ENV=%v serves it\n",
			i.cfg.Env)
	case c.has("all") || c.has("before") || r.CacheAcked:
		_, _ = fmt.Fprintf(c.out, "instances may serve them from the cache for at most %v\n",
			served)
	default:
		_, _ = fmt.Fprintf(c.out, "Redis did not acknowledge: instances may serve them for at most"+
			" %v, and not longer; `pgsession doctor` says what is wrong with Redis\n", served)
	}
	return nil
}
