package forms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// table is all rows, by id. Fields of a Record that are no columns are ignored.
type table map[store.ID]store.Record

// answer is what a call returned.
type answer struct {
	rec store.Record
	err error
	n   int // sessions that were revoked or pruned
}

// moment is when a form ran, by its store's clock.
type moment struct{ from, to time.Time }

func (m moment) holds(t time.Time) bool { return !t.Before(m.from) && !t.After(m.to) }

// outcome describes what a form has done. Forms that ran at different times
// have equal descriptions.
type outcome struct {
	answers []string
	// explained are columns of rows and of answers. Of each the explanations.
	explained map[string][]string
}

// differences returns where two outcomes contradict each other. It leaves those
// explanations in o that fit both.
func (o *outcome) differences(p *outcome) (found []string) {
	for i := range o.answers {
		if o.answers[i] != p.answers[i] {
			found = append(found,
				fmt.Sprintf("call %d answered %s, not %s", i, p.answers[i], o.answers[i]))
		}
	}
	names := maps.Clone(o.explained)
	maps.Copy(names, p.explained)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := o.explained[name], p.explained[name]
		both := slices.DeleteFunc(slices.Clone(was), func(e string) bool {
			return !slices.Contains(is, e)
		})
		if len(both) == 0 {
			found = append(found,
				fmt.Sprintf("%s is %s, not %s", name, orAbsent(is), orAbsent(was)))
		}
		o.explained[name] = both
	}
	return found
}

func orAbsent(explanations []string) string {
	if len(explanations) == 0 {
		return "absent"
	}
	return strings.Join(explanations, " or ")
}

// explain describes what a round did to a table. With endsRefused, a session
// counts as kept if a login was refused and it is gone.
func explain(
	r *round, before, after table, answers []answer, at moment, endsRefused bool,
) *outcome {
	o := &outcome{explained: map[string][]string{}}
	for i, a := range answers {
		id := r.calls[i].id
		was, there := before[id]
		_, kept := after[id]
		if endsRefused && errors.Is(a.err, store.ErrRevoked) && there && !kept {
			after[id] = was
		}
	}
	for id, row := range after {
		name := fmt.Sprintf("row %x", id[:4])
		o.explained[name+": tags"] = []string{tagsOf(row)}
		o.columns(name, before[r.origin(id)], row, r.call(id), r.expiry, at)
	}
	for i, a := range answers {
		o.answers = append(o.answers, wordOf(a, r.fails(&r.calls[i])))
		if a.err != nil || a.rec.Version == 0 {
			continue
		}
		name := fmt.Sprintf("answer %d", i)
		o.columns(name, before[r.origin(a.rec.ID)], a.rec, &r.calls[i], r.expiry, at)
		o.explained[name+": validated_at"] = in(at, "", a.rec.ValidatedAt)
		if row, ok := after[a.rec.ID]; !ok || !sameColumns(row, a.rec) {
			o.explained[name] = []string{fmt.Sprintf("not the row: %+v, %+v", a.rec, row)}
		}
	}
	return o
}

// columns explains each column of a row that was another before.
func (o *outcome) columns(
	name string, was, is store.Record, c *call, e store.Expiry, at moment,
) {
	set := func(column string, explanations ...string) {
		o.explained[name+": "+column] = explanations
	}
	// A time is that of the row before, or lies in the moment.
	setTime := func(column string, was, is time.Time, at moment, what string) {
		set(column, append(kept(was, is), in(at, what, is)...)...)
	}
	set("id", fmt.Sprintf("%x", is.ID))
	set("version", fmt.Sprint(is.Version))
	set("user_id", is.UserID)
	set("data", canonical(is.Data))
	set("ip", is.IP.String())
	set("user_agent", is.UserAgent)

	ago, past := at.plus(-c.draft.Age), ""
	if c.draft.Age != 0 {
		past = " - age"
	}
	setTime("created_at", was.CreatedAt, is.CreatedAt, ago, past)
	set("login_id", is.LoginID.String())
	set("pending_user_id", is.PendingUserID)
	setTime("pending_since", was.PendingSince, is.PendingSince, at, "")
	before := map[string]time.Time{}
	for _, m := range was.Methods.All() {
		before[m.Name] = m.At
	}
	for _, m := range is.Methods.All() {
		setTime(fmt.Sprintf("methods.%s, level %d", m.Name, m.Level), before[m.Name], m.At, at, "")
	}
	setTime("last_seen_at", was.LastSeenAt, is.LastSeenAt, at, "")
	login, since := at.plus(-c.draft.SinceLogin()), past
	if c.draft.LoginAge != 0 {
		since = " - age of the login"
	}
	setTime("authenticated_at", was.AuthenticatedAt, is.AuthenticatedAt, login, since)
	own := c.draft.Lifetime + c.change.Lifetime // a call has one of them
	absolute := append(kept(was.AbsoluteExpiresAt, is.AbsoluteExpiresAt),
		in(ago.plus(e.Lifetime(own)), past+" + lifetime", is.AbsoluteExpiresAt)...)
	if c.change.Lifetime > 0 { // of a session that was created in the future
		absolute = append(absolute,
			in(at.plus(own), " + a lifetime beyond absolute", is.AbsoluteExpiresAt)...)
	}
	if is.AbsoluteExpiresAt.Equal(was.CreatedAt.Add(e.Absolute)) {
		absolute = append(absolute, "the creation + absolute")
	}
	set("absolute_expires_at", absolute...)

	expires := kept(was.ExpiresAt, is.ExpiresAt)
	idle, step := c.draft.IdleIn(e), e.Resolution()
	rounded := at.plus(idle).up(step)
	isAbsolute := is.ExpiresAt.Equal(is.AbsoluteExpiresAt)
	isRounded := rounded.holds(is.ExpiresAt) && up(is.ExpiresAt, step).Equal(is.ExpiresAt)
	// Which of both is earlier can differ between two forms that ran one after
	// the other.
	wide := moment{rounded.from.Add(-step), rounded.to.Add(step)}
	either := (isAbsolute || isRounded) && wide.holds(is.AbsoluteExpiresAt)
	if isAbsolute || either {
		expires = append(expires, "the absolute one")
	}
	if isRounded || either {
		expires = append(expires, fmt.Sprint("now + ", idle, ", rounded up"))
	}
	if len(expires) == 0 {
		expires = []string{"now" + is.ExpiresAt.Sub(at.from).String()}
	}
	set("expires_at", expires...)
}

// tagsOf returns the tags in any order. An answer has none of them.
func tagsOf(rec store.Record) string {
	tags := make([]string, len(rec.Tags))
	for i, tag := range rec.Tags {
		tags[i] = fmt.Sprintf("%x", [32]byte(tag))
	}
	slices.Sort(tags)
	return strings.Join(tags, ", ")
}

func kept(was, is time.Time) []string {
	if was.Equal(is) {
		return []string{"kept"}
	}
	return nil
}

// in explains a time of the moment, or returns its distance.
func in(at moment, what string, t time.Time) []string {
	switch {
	case at.holds(t):
		return []string{"now" + what}
	case t.IsZero():
		return []string{"null"}
	}
	return []string{fmt.Sprint("now", what, " and ", t.Sub(at.from))}
}

func (m moment) plus(d time.Duration) moment { return moment{m.from.Add(d), m.to.Add(d)} }

// up rounds both ends up to a multiple of step since 1970.
func (m moment) up(step time.Duration) moment { return moment{up(m.from, step), up(m.to, step)} }

func up(t time.Time, step time.Duration) time.Time {
	us, n := t.UnixMicro(), step.Microseconds()
	if rest := us % n; rest != 0 {
		us += n - rest
	}
	return time.UnixMicro(us)
}

// reasons are the errors of a store that has answered.
var reasons = map[string]error{
	"expired": store.ErrExpired, "not found": store.ErrNotFound, "exists": store.ErrExists,
	"revoked": store.ErrRevoked, "too many sessions": store.ErrTooManySessions,
	"no pending login": store.ErrNoPendingLogin,
}

// wordOf describes the outcome of a call, without times. A call that fails
// anyhow may have two reasons, and a form may report either.
func wordOf(a answer, fails bool) string {
	var words []string
	for name, err := range reasons {
		if errors.Is(a.err, err) {
			words = append(words, name)
		}
	}
	switch {
	case len(words) > 0 && fails:
		return "one of several reasons"
	case len(words) > 0:
		slices.Sort(words)
		return strings.Join(words, ", ")
	case a.err != nil:
		return a.err.Error()
	case a.n > 0:
		return fmt.Sprint(a.n, " sessions")
	}
	return "done"
}

// sameColumns compares what an answer has of a row.
func sameColumns(a, b store.Record) bool {
	for _, rec := range []*store.Record{&a, &b} {
		rec.Data = []byte(canonical(rec.Data))
		rec.Tags, rec.Began = nil, store.Began{}
		rec.ValidatedAt, rec.AnsweredAt = time.Time{}, time.Time{}
	}
	return fieldtest.Equal(a, b)
}

// canonical is JSON with its members in order.
func canonical(data json.RawMessage) string {
	var v map[string]any
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Sprintf("no object: %q", data)
	}
	b, _ := json.Marshal(v) // it was JSON
	return string(b)
}
