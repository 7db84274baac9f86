package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/sessionstore"
)

func checkEvents(o *options) error {
	switch {
	case !o.has("user"):
		return errors.New("events needs -user")
	case o.limit < 1 || o.limit > maxLimit:
		return fmt.Errorf("-limit must be 1 to %d", maxLimit)
	}
	return checkUser(o)
}

// eventsSince reads the newest events of a user, and the revokes of all users,
// which end the user's sessions too.
const eventsSince = `
	SELECT e.at, e.kind, coalesce(e.session, ''), coalesce(e.login_id::text, ''),
		coalesce(e.level, 0)::integer, coalesce(pg_catalog.host(e.ip), ''),
		coalesce(e.user_agent, ''), coalesce(e.methods, '{}'), coalesce(e.reason, ''),
		coalesce(e.actor, ''), coalesce(e.detail, ''), e.count
	FROM (
		(SELECT o.* FROM pgsession.events AS o
		WHERE o.user_id OPERATOR(pg_catalog.=) $1::text
			AND o.at OPERATOR(pg_catalog.>=) $2::timestamptz
		ORDER BY o.id DESC LIMIT $3::bigint)
		UNION ALL
		(SELECT a.* FROM pgsession.events AS a
		WHERE a.user_id IS NULL AND a.kind OPERATOR(pg_catalog.=) 'sessions revoked'
			AND a.reason OPERATOR(pg_catalog.=) ANY (ARRAY['all', 'before'])
			AND a.at OPERATOR(pg_catalog.>=) $2::timestamptz
		ORDER BY a.id DESC LIMIT $3::bigint)
	) AS e
	ORDER BY e.id DESC LIMIT $3::bigint`

// eventJSON is an event in the output of events -json, with the names of an
// export.
type eventJSON struct {
	At        time.Time `json:"at"`
	Kind      string    `json:"kind"`
	Session   string    `json:"session,omitempty"`
	LoginID   string    `json:"login_id,omitempty"`
	Level     int       `json:"level,omitempty"`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
	Methods   []string  `json:"methods,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Actor     string    `json:"actor,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	// Count is nil unless the event is the end of a revoke of many.
	Count *int64 `json:"count,omitempty"`
}

// listEvents lists what happened to the sessions of a user.
func listEvents(ctx context.Context, c *call) error {
	i, err := c.openToRead(ctx)
	if err != nil {
		return err
	}
	defer i.pool.Close()
	since := time.Unix(0, 0)
	if c.has("since") {
		if since, _, err = i.moment(ctx, "-since", c.since); err != nil {
			return err
		}
	}
	rows, err := i.pool.Query(ctx, i.inSchema(eventsSince), c.user, since, c.limit+1)
	if err != nil {
		return err
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e eventJSON, err error) {
		err = row.Scan(&e.At, &e.Kind, &e.Session, &e.LoginID, &e.Level, &e.IP, &e.UserAgent,
			&e.Methods, &e.Reason, &e.Actor, &e.Detail, &e.Count)
		e.At = e.At.UTC()
		return e, err
	})
	if err != nil {
		return err
	}
	more := len(events) > c.limit
	events = events[:min(len(events), c.limit)]
	if c.json {
		return json.NewEncoder(c.out).Encode(struct {
			Events []eventJSON `json:"events"`
			More   bool        `json:"more"`
		}{events, more})
	}
	return c.printEvents(events, more)
}

func (c *call) printEvents(events []eventJSON, more bool) error {
	if len(events) == 0 {
		_, _ = fmt.Fprintln(c.out, "no event: an application records them with"+
			" SESSION_RECORD_EVENTS=true")
		return nil
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table,
		"AT (UTC)\tEVENT\tREASON\tACTOR\tCOUNT\tADDRESS\tDEVICE\tHANDLE\tMETHODS\tDETAIL")
	for _, e := range events {
		count, device := "", ""
		if e.Count != nil {
			count = fmt.Sprint(*e.Count)
		}
		if e.UserAgent != "" {
			device = sessionstore.DeviceOf(sessionstore.Client{UserAgent: e.UserAgent}).String()
		}
		for _, text := range []string{
			clock(e.At), e.Kind, e.Reason, e.Actor, count, e.IP, device, e.Session,
			strings.Join(e.Methods, ","),
		} {
			_, _ = fmt.Fprintf(table, "%s\t", printable(text))
		}
		_, _ = fmt.Fprintln(table, printable(e.Detail))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more {
		_, _ = fmt.Fprintf(c.progress, "there are more: -limit %d\n", min(10*c.limit, maxLimit))
	}
	return nil
}
