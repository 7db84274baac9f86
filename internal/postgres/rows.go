package postgres

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// querier is a pool or a transaction.
type querier = gen.DBTX

type (
	saveCall struct {
		id     store.ID
		change store.Change
	}
	rotateCall struct {
		old, id store.ID
		change  store.Change
	}
)

func (p *Store) createOne(ctx context.Context, d *store.Draft) (*store.Record, error) {
	return p.one(ctx, opCreate, func(ctx context.Context, db querier) (*store.Record, error) { return p.create(ctx, db, d) })
}

func (p *Store) create(ctx context.Context, db querier, d *store.Draft) (*store.Record, error) {
	if d.UserID != "" && !p.distributed.Load() { // it refuses by marks
		return only(p.createRows(ctx, db, []store.Draft{*d}))
	}
	arg := &gen.SessionCreateParams{
		ID: d.ID[:], UserID: orNull(d.UserID), Age: d.Age, Login: span(d.Age, d.UserID != ""),
		Data: orEmpty(d.Data), IP: ipOrNull(d.IP), UserAgent: orNull(d.UserAgent),
		Absolute: p.expiry.Absolute, Idle: d.IdleIn(p.expiry), Resolution: p.expiry.Resolution(),
	}
	return p.record(ctx, db, func(db querier) error {
		_, err := p.queries.SessionCreate(ctx, db, arg)
		return err
	})
}

func (p *Store) createMany(ctx context.Context, drafts []store.Draft) (rowsRead, error) {
	return p.many(ctx, opCreate, func(ctx context.Context, db querier) (rowsRead, error) { return p.createRows(ctx, db, drafts) })
}

func (p *Store) createRows(ctx context.Context, db querier, drafts []store.Draft) (rowsRead, error) {
	var logins loginArgs
	arg := &gen.SessionCreateManyParams{Absolute: p.expiry.Absolute, Resolution: p.expiry.Resolution()}
	for i := range drafts {
		d := &drafts[i]
		arg.IDs = append(arg.IDs, d.ID[:])
		arg.UserIDs = append(arg.UserIDs, d.UserID)
		arg.Ages = append(arg.Ages, d.Age)
		arg.Idles = append(arg.Idles, d.IdleIn(p.expiry))
		arg.Data = append(arg.Data, orEmpty(d.Data))
		arg.IPs = append(arg.IPs, d.IP)
		arg.UserAgents = append(arg.UserAgents, d.UserAgent)
		logins.add(d.UserID, &d.Began)
	}
	arg.LoginKeys, arg.LoginAges, arg.OwnMarks, arg.Everyone = logins.keys, logins.ages, logins.own, everyone[:]
	return p.read(ctx, db, len(drafts), unread(ctx, func(ctx context.Context, db querier) ([]*gen.SessionCreateManyRow, error) {
		return p.queries.SessionCreateMany(ctx, db, arg)
	}))
}

func (p *Store) saveOne(ctx context.Context, c *saveCall) (*store.Record, error) {
	return p.one(ctx, opSave, func(ctx context.Context, db querier) (*store.Record, error) { return p.save(ctx, db, c) })
}

func (p *Store) save(ctx context.Context, db querier, c *saveCall) (*store.Record, error) {
	if err := p.refusedAlready(ctx, db, lookCall{c.change.UserID, c.change.Began}); err != nil {
		return nil, err
	}
	arg := &gen.SessionSaveParams{
		ID: c.id[:], Removed: orNone(c.change.Removed), Changed: object.Encode(c.change.Set), Drops: c.change.DropData,
		UserID: orNull(c.change.UserID), Login: span(0, c.change.UserID != ""),
		IP: ipOrNull(c.change.IP), UserAgent: orNull(c.change.UserAgent),
		Idle: span(p.expiry.Idle, !p.expiry.Fixed), Resolution: p.expiry.Resolution(),
	}
	return p.record(ctx, db, func(db querier) error {
		_, err := p.queries.SessionSave(ctx, db, arg)
		return err
	})
}

func (p *Store) saveMany(ctx context.Context, calls []saveCall) (rowsRead, error) {
	return p.many(ctx, opSave, func(ctx context.Context, db querier) (rowsRead, error) { return p.saveRows(ctx, db, calls) })
}

func (p *Store) saveRows(ctx context.Context, db querier, calls []saveCall) (rowsRead, error) {
	var logins loginArgs
	arg := &gen.SessionSaveManyParams{Idle: span(p.expiry.Idle, !p.expiry.Fixed), Resolution: p.expiry.Resolution()}
	for i := range calls {
		c := &calls[i].change
		arg.IDs = append(arg.IDs, calls[i].id[:])
		arg.Removed = append(arg.Removed, encodeNames(c.Removed))
		arg.Changed = append(arg.Changed, object.Encode(c.Set))
		arg.Drops = append(arg.Drops, c.DropData)
		arg.UserIDs = append(arg.UserIDs, c.UserID)
		arg.IPs = append(arg.IPs, c.IP)
		arg.UserAgents = append(arg.UserAgents, c.UserAgent)
		logins.add(c.UserID, &c.Began)
	}
	arg.LoginKeys, arg.LoginAges, arg.OwnMarks, arg.Everyone = logins.keys, logins.ages, logins.own, everyone[:]
	return p.read(ctx, db, len(calls), unread(ctx, func(ctx context.Context, db querier) ([]*gen.SessionSaveManyRow, error) {
		return p.queries.SessionSaveMany(ctx, db, arg)
	}))
}

func (p *Store) rotateOne(ctx context.Context, c *rotateCall) (rec *store.Record, err error) {
	err = p.do(ctx, opRotate, func(ctx context.Context) error {
		return p.on(ctx, opRotate, func(conn *pgxpool.Conn) error {
			return p.guarded(ctx, conn, func(db querier, apart bool) (err error) {
				rec, err = p.rotate(ctx, db, c, apart)
				return err
			})
		})
	})
	return rec, err
}

// rotate gives one session a new id; apart, db is a transaction.
func (p *Store) rotate(ctx context.Context, db querier, c *rotateCall, apart bool) (*store.Record, error) {
	if apart {
		if err := p.holdRevokes(ctx, db, c.old); err != nil {
			return nil, err
		}
	} else if err := p.refusedAlready(ctx, db, lookCall{c.change.UserID, c.change.Began}); err != nil {
		return nil, err
	}
	arg := &gen.SessionRotateParams{
		OldID: c.old[:], ID: c.id[:], Removed: orNone(c.change.Removed), Changed: object.Encode(c.change.Set), Drops: c.change.DropData,
		UserID: orNull(c.change.UserID), IP: ipOrNull(c.change.IP), UserAgent: orNull(c.change.UserAgent),
		Absolute: p.expiry.Absolute, Idle: span(p.expiry.Idle, !p.expiry.Fixed || c.change.UserID != ""),
		Resolution: p.expiry.Resolution(),
	}
	return p.record(ctx, db, func(db querier) error {
		_, err := p.queries.SessionRotate(ctx, db, arg)
		return err
	})
}

func (p *Store) rotateMany(ctx context.Context, calls []rotateCall) (rowsRead, error) {
	return p.many(ctx, opRotate, func(ctx context.Context, db querier) (rowsRead, error) { return p.rotateRows(ctx, db, calls) })
}

func (p *Store) rotateRows(ctx context.Context, db querier, calls []rotateCall) (rowsRead, error) {
	var logins loginArgs
	arg := &gen.SessionRotateManyParams{
		Slides: !p.expiry.Fixed, Absolute: p.expiry.Absolute, Idle: p.expiry.Idle, Resolution: p.expiry.Resolution(),
	}
	for i := range calls {
		c := &calls[i].change
		arg.OldIDs = append(arg.OldIDs, calls[i].old[:])
		arg.IDs = append(arg.IDs, calls[i].id[:])
		arg.Removed = append(arg.Removed, encodeNames(c.Removed))
		arg.Changed = append(arg.Changed, object.Encode(c.Set))
		arg.Drops = append(arg.Drops, c.DropData)
		arg.UserIDs = append(arg.UserIDs, c.UserID)
		arg.IPs = append(arg.IPs, c.IP)
		arg.UserAgents = append(arg.UserAgents, c.UserAgent)
		logins.add(c.UserID, &c.Began)
	}
	arg.LoginKeys, arg.LoginAges, arg.OwnMarks, arg.Everyone = logins.keys, logins.ages, logins.own, everyone[:]
	return p.read(ctx, db, len(calls), unread(ctx, func(ctx context.Context, db querier) ([]*gen.SessionRotateManyRow, error) {
		return p.queries.SessionRotateMany(ctx, db, arg)
	}))
}

func (p *Store) one(ctx context.Context, op operation, query func(context.Context, querier) (*store.Record, error)) (rec *store.Record, err error) {
	err = p.run(ctx, op, func(ctx context.Context, db querier) (err error) {
		rec, err = query(ctx, db)
		return err
	})
	return rec, err
}

// record runs a statement for one session.
func (p *Store) record(ctx context.Context, db querier, query func(querier) error) (*store.Record, error) {
	return only(p.read(ctx, db, 1, query))
}

// only is the answer to one call.
func only(read rowsRead, err error) (*store.Record, error) {
	switch {
	case err != nil:
		return nil, err
	case len(read.broken) > 0:
		return nil, read.broken[0].err
	case len(read.records) == 0:
		return nil, pgx.ErrNoRows
	}
	return &read.records[0], nil
}

// many runs a statement for many sessions.
func (p *Store) many(ctx context.Context, op operation, query func(context.Context, querier) (rowsRead, error)) (read rowsRead, err error) {
	err = p.run(ctx, op, func(ctx context.Context, db querier) (err error) {
		read, err = query(ctx, db)
		return err
	})
	return read, err
}

// unread runs generated code, which must find no row that the reader left.
func unread[R any](ctx context.Context, query func(context.Context, gen.DBTX) ([]*R, error)) func(querier) error {
	return func(db querier) error {
		left, err := query(ctx, db)
		if err == nil && len(left) > 0 {
			err = errColumns
		}
		return err
	}
}

// read reads up to n rows of sessions, and logs those that can't be read.
func (p *Store) read(ctx context.Context, db querier, n int, query func(querier) error) (rowsRead, error) {
	reader := rowReader{querier: db, rowsRead: rowsRead{records: make([]store.Record, 0, n)}}
	if err := query(&reader); err != nil {
		return rowsRead{}, err
	}
	if reader.standby {
		return rowsRead{}, errStandby
	}
	for _, b := range reader.broken {
		p.Broken.report(ctx, b.err)
	}
	return reader.rowsRead, nil
}

// encodeNames is a JSON array, since Postgres's arrays can't hold lists of different lengths.
func encodeNames(names []string) json.RawMessage {
	if len(names) == 0 {
		return json.RawMessage("[]")
	}
	raw, err := json.Marshal(names)
	if err != nil {
		panic("BUG: sessionstore: strings do not encode: " + err.Error())
	}
	return raw
}

func orEmpty(data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		return json.RawMessage("{}")
	}
	return data
}

// orNone is never nil: jsonb - NULL would be NULL.
func orNone(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

func orNull(s string) pgtype.Text { return pgtype.Text{String: s, Valid: s != ""} }

// span is null where it doesn't apply.
func span(d time.Duration, applies bool) pgtype.Interval {
	return pgtype.Interval{Microseconds: d.Microseconds(), Valid: applies}
}

func ipOrNull(addr netip.Addr) *netip.Addr {
	if !addr.IsValid() {
		return nil
	}
	return &addr
}
