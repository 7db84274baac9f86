package rows

import (
	"context"
	"encoding/json"
	"fmt"
)

// Rows with a large payload are beside the others, in the library's table.
const (
	FirstLarge = 10_000_000
	// largeItems make a payload of about 4 KB. Half of it is hexadecimal
	// digits, which Postgres can't compress.
	largeItems = 40
)

// largeSQL is the payload of row i: its name, and the items of an order.
var largeSQL = fmt.Sprintf(`(SELECT jsonb_object_agg('item' || n, '2 x ' || md5(i || '/' || n) ||
	' in stock, gift wrapped, deliver to the neighbours') FROM generate_series(1, %d) AS n)
	|| jsonb_build_object('name', 'user-' || lpad(i::text, 8, '0'))`, largeItems)

// FillLarge inserts the rows FirstLarge..FirstLarge+n-1, unless they are there.
func (d *Database) FillLarge(ctx context.Context, n int) error {
	const insert = `
INSERT INTO pgsession.sessions (id, user_id, authenticated_at, created_at, last_seen_at, ip, user_agent, data, absolute_expires_at, expires_at)
SELECT sha256(int8send(i)), 'user-' || i, now(), now(), now(), '127.0.0.1', '` + UserAgent + `', %s,
	now() + interval '30 days', date_bin('1 hour', now() + interval '7 days 1 hour', timestamptz 'epoch')
FROM generate_series(%d::bigint, %d::bigint) AS i
ON CONFLICT (id) DO NOTHING`
	err := d.insert(ctx, n, func(from, to int) string {
		return fmt.Sprintf(insert, largeSQL, FirstLarge+from, FirstLarge+to)
	})
	if err != nil {
		return err
	}
	return d.Exec(ctx, "VACUUM (ANALYZE) pgsession.sessions", "CHECKPOINT")
}

// CheckLarge checks what was loaded of a large row with this name.
func CheckLarge(name string, loaded []byte) error {
	var values map[string]string
	if err := json.Unmarshal(loaded, &values); err != nil {
		return fmt.Errorf("large row of %s: what was loaded is not the payload: %w", name, err)
	}
	if len(values) != largeItems+1 || values["name"] != name || len(loaded) < 3600 ||
		len(loaded) > 4600 {
		return fmt.Errorf("large row of %s: %d values in %d bytes, of %q", name, len(values),
			len(loaded), values["name"])
	}
	return nil
}
