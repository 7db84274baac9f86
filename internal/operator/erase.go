package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/reporadar/pgsession/sessionstore"
)

func checkErase(o *options) error {
	if !o.has("user") {
		return errors.New("erase needs -user")
	}
	return checkUser(o)
}

// The statements of an erasure. An event stays, without the user: the cursor of
// a reader may be at it, and the number of logins belongs to no user.
const (
	eventsOf = `
		SELECT pg_catalog.count(*) FILTER (WHERE v.user_id OPERATOR(pg_catalog.=) $1::text),
			pg_catalog.count(*), pg_catalog.has_table_privilege('pgsession.events', 'UPDATE'),
			current_user::text
		FROM pgsession.events AS v
		WHERE v.user_id OPERATOR(pg_catalog.=) $1::text OR v.actor OPERATOR(pg_catalog.=) $1::text`
	blankEvents = `
		WITH few AS (
			SELECT v.tx, v.id FROM pgsession.events AS v
			WHERE v.user_id OPERATOR(pg_catalog.=) $1::text AND v.id OPERATOR(pg_catalog.>) $2::bigint
			ORDER BY v.id
			LIMIT 1000
		), blank AS (
			UPDATE pgsession.events AS v SET
				user_id = NULL, session = NULL, login_id = NULL, ip = NULL, user_agent = NULL,
				methods = NULL, actor = NULL, detail = NULL
			FROM few
			WHERE v.tx OPERATOR(pg_catalog.=) few.tx AND v.id OPERATOR(pg_catalog.=) few.id
		)
		SELECT pg_catalog.count(*), coalesce(pg_catalog.max(few.id), 0) FROM few`
	blankActor = `
		UPDATE pgsession.events AS v SET actor = NULL
		WHERE v.actor OPERATOR(pg_catalog.=) $1::text`
	rowsOf = `
		SELECT pg_catalog.count(*) FILTER (WHERE s.expires_at OPERATOR(pg_catalog.>) pg_catalog.now()),
			pg_catalog.count(*) FILTER (WHERE s.expires_at OPERATOR(pg_catalog.<=) pg_catalog.now())
		FROM pgsession.sessions AS s
		WHERE s.user_id OPERATOR(pg_catalog.=) $1::text
			OR s.pending_user_id OPERATOR(pg_catalog.=) $1::text`
	deleteExpired = `
		DELETE FROM pgsession.sessions AS d WHERE d.id IN (
			SELECT s.id FROM pgsession.sessions AS s
			WHERE (s.user_id OPERATOR(pg_catalog.=) $1::text
					OR s.pending_user_id OPERATOR(pg_catalog.=) $1::text)
				AND s.expires_at OPERATOR(pg_catalog.<=) pg_catalog.now()
			LIMIT 1000
		)`
)

// erased is the output of erase -json.
type erased struct {
	revoked

	// Events is how many events had the user, and Acted in how many others the
	// user acted.
	Events int `json:"events"`
	Acted  int `json:"acted"`
	// Expired is how many sessions had expired, and were not pruned yet.
	Expired int `json:"expired"`
}

// erase ends the sessions of a user and takes the user out of the events.
func erase(ctx context.Context, c *call) error {
	i, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer i.close()
	if err := c.mayErase(ctx, i); err != nil {
		return err
	}
	ctx = sessionstore.WithActor(ctx, "", "")
	r, err := i.RevokeUser(ctx, c.user)
	if err != nil {
		return again(r, err)
	}
	var out erased
	if !c.keepEvents {
		if out.Events, out.Acted, err = i.blank(ctx, c.user); err != nil {
			return fmt.Errorf("sessions ended: %d, events without the user: %d, then: %w: repeat"+
				" the command, it goes on from there", r.Count, out.Events+out.Acted, err)
		}
	}
	if out.Expired, err = i.deleteExpired(ctx, c.user); err != nil {
		return again(r, err)
	}
	live, expired, err := i.rowsOf(ctx, c.user)
	if err == nil && live+expired > 0 {
		err = errors.New("the user has logged in meanwhile: disable the account")
	}
	if err != nil {
		return again(r, err)
	}
	out.revoked = i.outcome(r)
	if c.json {
		return json.NewEncoder(c.out).Encode(out)
	}
	if err := c.printRevoked(i, r, nil); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(c.out, "expired sessions deleted: %d\n", out.Expired)
	_, _ = fmt.Fprintf(c.out, "events that name no user now: %d of the user, %d in which the"+
		" user acted\n", out.Events, out.Acted)
	_, _ = fmt.Fprintln(c.out, "left: the hash of the user id in the marks of revokes, for 400"+
		" days; backups; the log of the application; what the application itself has")
	return nil
}

// mayErase checks, before anything is done, that all of it can be done.
func (c *call) mayErase(ctx context.Context, i *installation) error {
	var events, all int
	var may bool
	var role string
	if _, err := i.row(
		ctx, eventsOf, []any{c.user}, []any{&events, &all, &may, &role},
	); err != nil {
		return err
	}
	if !may && !c.keepEvents {
		return fmt.Errorf("nothing erased: role %s may not change events (%d name the user): run"+
			" it as the owner, such as a member of it with PGOPTIONS='-c role=%s_owner', or with"+
			" -keep-events", printable(role), all, i.schemaName())
	}
	if c.yes {
		return nil
	}
	live, expired, err := i.rowsOf(ctx, c.user)
	if err != nil {
		return err
	}
	if c.keepEvents {
		all = 0
	}
	return misused{fmt.Errorf("nothing erased: sessions it would end: %d, expired ones it would"+
		" delete: %d, events it would take the user out of: %d, in %s: add -yes",
		live, expired, all, i.place())}
}

// rowsOf counts the sessions and pending logins of a user.
func (i *installation) rowsOf(
	ctx context.Context, userID string,
) (live, expired int, err error) {
	_, err = i.row(ctx, rowsOf, []any{userID}, []any{&live, &expired})
	return live, expired, err
}

// deleteExpired deletes what the prune would delete, in batches.
func (i *installation) deleteExpired(ctx context.Context, userID string) (n int, err error) {
	for {
		tag, err := i.pool.Exec(ctx, i.inSchema(deleteExpired), userID)
		if err != nil || tag.RowsAffected() == 0 {
			return n, err
		}
		n += int(tag.RowsAffected())
	}
}

// blank takes a user out of the events, in batches.
func (i *installation) blank(ctx context.Context, userID string) (events, acted int, err error) {
	for after := int64(0); ; {
		n := 0
		if _, err := i.row(ctx, blankEvents, []any{userID, after}, []any{&n, &after}); err != nil {
			return events, 0, err
		}
		if n == 0 {
			break
		}
		events += n
	}
	tag, err := i.pool.Exec(ctx, i.inSchema(blankActor), userID)
	return events, int(tag.RowsAffected()), err
}
