package pgsimple

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// readZone takes the zone of the connection if none is given. A name is
// required: of an offset such as +01:00 Postgres takes the sign for the other
// direction.
func (m *mover) readZone(ctx context.Context, tx pgx.Tx) error {
	given := m.Zone != ""
	var known bool
	err := tx.QueryRow(ctx, `
		SELECT z.zone, EXISTS (
			SELECT FROM pg_catalog.pg_timezone_names() AS n
			WHERE pg_catalog.lower(n.name) = pg_catalog.lower(z.zone)
		)
		FROM (
			SELECT coalesce(nullif($1::text, ''), pg_catalog.current_setting('TimeZone')) AS zone
		) AS z`, m.Zone).Scan(&m.Zone, &known)
	switch {
	case err != nil || known || m.hasZone:
		return err
	case given:
		return fmt.Errorf("-zone %q: Postgres has no such time zone: use a name such as"+
			" Europe/Berlin or UTC", m.Zone)
	}
	return fmt.Errorf("the connection's time zone %q has no name: give that of the Node program's"+
		" connections, -zone", m.Zone)
}

// setZone makes it the zone of a transaction, in which a cast reads expire.
func (m *mover) setZone(ctx context.Context, tx pgx.Tx) error {
	if m.hasZone {
		return nil
	}
	_, err := tx.Exec(ctx, "SELECT pg_catalog.set_config('TimeZone', $1::text, true)", m.Zone)
	return err
}

const (
	sampleRows = 1000
	// quarter is the step of the offsets of time zones, in seconds.
	quarter = 900
	// minEvidence is how many rows must agree on another zone.
	minEvidence = 5
)

// checkSample reads some rows that are alive, and refuses options that don't
// fit them: a wrong zone would end sessions hours too early or too late, and a
// wrong path of the user id would log all users out.
func (m *mover) checkSample(ctx context.Context, tx pgx.Tx) error {
	if err := m.setZone(ctx, tx); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, m.sql.sample)
	if err != nil {
		return err
	}
	var n, users, fits int
	offsets := map[int]int{} // rows by the offset of their zone, in quarters of an hour
	var sid, sess string
	var wall, moment float64 // expire as if it was UTC, and in the zone
	_, err = pgx.ForEachRow(rows, []any{&sid, &sess, &wall, &moment}, func() error {
		r, why := parse(sid, sess, m.Users)
		if why != "" || r.empty {
			return nil
		}
		n++
		if r.userID != "" {
			users++
		}
		if r.expires.IsZero() || math.IsInf(wall, 0) {
			return nil
		}
		cookie := float64(r.expires.UnixMilli()) / 1000
		if near(moment - cookie) {
			fits++
		}
		offset := int(math.Round((wall - cookie) / quarter))
		if near(wall - cookie - float64(offset)*quarter) {
			offsets[offset]++
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case n > 0 && users == 0 && len(m.Users) > 0:
		return fmt.Errorf("none of %d sessions has a user at %s: give the path of the user id,"+
			" -user, or -user none if no user logs in", n, strings.Join(m.Users, " or "))
	case m.hasZone:
		return nil
	}
	offset, agree := 0, 0
	for o, count := range offsets {
		if count > agree {
			offset, agree = o, count
		}
	}
	if agree < minEvidence || agree <= 10*fits {
		return nil
	}
	return fmt.Errorf("-zone %s does not fit: of %d sessions %d end with their cookies if the"+
		" column expire is in a zone of UTC%s, and %d if in this one: give the zone of the Node"+
		" program's connections", m.Zone, n, agree, offsetText(offset), fits)
}

// near reports whether a row ends with its cookie. connect-pg-simple rounds the
// cookie's end up to a second. A use moves the row's end on, and not that of
// the cookie in the values.
func near(seconds float64) bool { return seconds > -0.5 && seconds < 1.5 }

func offsetText(quarters int) string {
	d := time.Duration(quarters) * quarter * time.Second
	sign := "+"
	if d < 0 {
		sign, d = "-", -d
	}
	return fmt.Sprintf("%s%02d:%02d", sign, int(d.Hours()), int(d.Minutes())%60)
}
