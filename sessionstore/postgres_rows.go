package sessionstore

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/internal/gen"
)

// querier is a pool or a transaction.
type querier = gen.DBTX

type (
	saveCall struct {
		id     ID
		change Change
	}
	rotateCall struct {
		old, id ID
		change  Change
	}
)

func (p *Postgres) loadOne(ctx context.Context, id *ID) (rec *Record, err error) {
	err = p.do(ctx, reading, func(ctx context.Context) error {
		row, err := p.queries.SessionLoad(ctx, p.db, id[:])
		if err == nil && fromStandby(row.ValidatedAt) {
			err = errStandby
		}
		if err == nil {
			rec = new(Record)
			rec.fill(&row.Session, row.ValidatedAt)
		}
		return err
	})
	return rec, err
}

func (p *Postgres) loadMany(ctx context.Context, ids []ID) (recs []Record, err error) {
	arg := make([][]byte, len(ids))
	for i := range ids {
		arg[i] = ids[i][:]
	}
	err = p.do(ctx, reading, func(ctx context.Context) error {
		rows, err := p.queries.SessionLoadMany(ctx, p.db, arg)
		if len(rows) > 0 && fromStandby(rows[0].ValidatedAt) {
			return errStandby
		}
		recs = make([]Record, len(rows))
		for i := range rows {
			recs[i].fill(&rows[i].Session, rows[i].ValidatedAt)
		}
		return err
	})
	return recs, err
}

func (p *Postgres) createOne(ctx context.Context, d *Draft) (rec *Record, err error) {
	err = p.do(ctx, once, func(ctx context.Context) error {
		rec, err = p.create(ctx, p.db, d)
		return err
	})
	return rec, err
}

func (p *Postgres) create(ctx context.Context, db querier, d *Draft) (*Record, error) {
	arg := &gen.SessionCreateParams{
		ID: d.ID[:], UserID: orNull(d.UserID), Age: d.Age, Data: orEmpty(d.Data), IP: ipOrNull(d.IP), UserAgent: orNull(d.UserAgent),
		Absolute: p.expiry.Absolute, Idle: p.expiry.Idle, Resolution: p.expiry.Resolution(),
	}
	row, err := p.queries.SessionCreate(ctx, db, arg)
	if err != nil {
		return nil, err
	}
	return newRecord(&row.Session, row.ValidatedAt), nil
}

func (p *Postgres) createMany(ctx context.Context, drafts []Draft) (recs []Record, err error) {
	arg := &gen.SessionCreateManyParams{Absolute: p.expiry.Absolute, Idle: p.expiry.Idle, Resolution: p.expiry.Resolution()}
	for i := range drafts {
		d := &drafts[i]
		arg.IDs = append(arg.IDs, d.ID[:])
		arg.UserIDs = append(arg.UserIDs, d.UserID)
		arg.Ages = append(arg.Ages, d.Age)
		arg.Data = append(arg.Data, orEmpty(d.Data))
		arg.IPs = append(arg.IPs, d.IP)
		arg.UserAgents = append(arg.UserAgents, d.UserAgent)
	}
	err = p.do(ctx, once, func(ctx context.Context) error {
		rows, err := p.queries.SessionCreateMany(ctx, p.db, arg)
		recs = make([]Record, len(rows))
		for i := range rows {
			recs[i].fill(&rows[i].Session, rows[i].ValidatedAt)
		}
		return err
	})
	return recs, err
}

func (p *Postgres) saveOne(ctx context.Context, c *saveCall) (rec *Record, err error) {
	err = p.do(ctx, once, func(ctx context.Context) error {
		rec, err = p.save(ctx, p.db, c)
		return err
	})
	return rec, err
}

func (p *Postgres) save(ctx context.Context, db querier, c *saveCall) (*Record, error) {
	arg := &gen.SessionSaveParams{
		ID: c.id[:], Removed: orNone(c.change.Removed), Changed: encodeObject(c.change.Set),
		UserID: orNull(c.change.UserID), IP: ipOrNull(c.change.IP), UserAgent: orNull(c.change.UserAgent),
		Slides: !p.expiry.Fixed, Idle: p.expiry.Idle, Resolution: p.expiry.Resolution(),
	}
	row, err := p.queries.SessionSave(ctx, db, arg)
	if err != nil {
		return nil, err
	}
	return newRecord(&row.Session, row.ValidatedAt), nil
}

func (p *Postgres) saveMany(ctx context.Context, calls []saveCall) (recs []Record, err error) {
	arg := &gen.SessionSaveManyParams{Slides: !p.expiry.Fixed, Idle: p.expiry.Idle, Resolution: p.expiry.Resolution()}
	for i := range calls {
		c := &calls[i].change
		arg.IDs = append(arg.IDs, calls[i].id[:])
		arg.Removed = append(arg.Removed, encodeNames(c.Removed))
		arg.Changed = append(arg.Changed, encodeObject(c.Set))
		arg.UserIDs = append(arg.UserIDs, c.UserID)
		arg.IPs = append(arg.IPs, c.IP)
		arg.UserAgents = append(arg.UserAgents, c.UserAgent)
	}
	err = p.do(ctx, once, func(ctx context.Context) error {
		rows, err := p.queries.SessionSaveMany(ctx, p.db, arg)
		recs = make([]Record, len(rows))
		for i := range rows {
			recs[i].fill(&rows[i].Session, rows[i].ValidatedAt)
		}
		return err
	})
	return recs, err
}

func (p *Postgres) rotateOne(ctx context.Context, c *rotateCall) (rec *Record, err error) {
	err = p.do(ctx, once, func(ctx context.Context) error {
		rec, err = p.rotate(ctx, p.db, c)
		return err
	})
	return rec, err
}

func (p *Postgres) rotate(ctx context.Context, db querier, c *rotateCall) (*Record, error) {
	arg := &gen.SessionRotateParams{
		OldID: c.old[:], ID: c.id[:], Removed: orNone(c.change.Removed), Changed: encodeObject(c.change.Set),
		UserID: orNull(c.change.UserID), IP: ipOrNull(c.change.IP), UserAgent: orNull(c.change.UserAgent),
		Slides: !p.expiry.Fixed, Absolute: p.expiry.Absolute, Idle: p.expiry.Idle, Resolution: p.expiry.Resolution(),
	}
	row, err := p.queries.SessionRotate(ctx, db, arg)
	if err != nil {
		return nil, err
	}
	return newRecord(&row.Session, row.ValidatedAt), nil
}

func (p *Postgres) rotateMany(ctx context.Context, calls []rotateCall) (recs []Record, err error) {
	arg := &gen.SessionRotateManyParams{
		Slides: !p.expiry.Fixed, Absolute: p.expiry.Absolute, Idle: p.expiry.Idle, Resolution: p.expiry.Resolution(),
	}
	for i := range calls {
		c := &calls[i].change
		arg.OldIDs = append(arg.OldIDs, calls[i].old[:])
		arg.IDs = append(arg.IDs, calls[i].id[:])
		arg.Removed = append(arg.Removed, encodeNames(c.Removed))
		arg.Changed = append(arg.Changed, encodeObject(c.Set))
		arg.UserIDs = append(arg.UserIDs, c.UserID)
		arg.IPs = append(arg.IPs, c.IP)
		arg.UserAgents = append(arg.UserAgents, c.UserAgent)
	}
	err = p.do(ctx, once, func(ctx context.Context) error {
		rows, err := p.queries.SessionRotateMany(ctx, p.db, arg)
		recs = make([]Record, len(rows))
		for i := range rows {
			recs[i].fill(&rows[i].Session, rows[i].ValidatedAt)
		}
		return err
	})
	return recs, err
}

// fromStandby: see SessionLoad.
func fromStandby(validatedAt time.Time) bool { return validatedAt.Unix() == 0 }

func newRecord(s *gen.Session, validatedAt time.Time) *Record {
	rec := new(Record)
	rec.fill(s, validatedAt)
	return rec
}

// fill converts a row in place: a record is some hundred bytes, and a shared statement makes many.
func (r *Record) fill(s *gen.Session, validatedAt time.Time) {
	copy(r.ID[:], s.ID)
	r.UserID = s.UserID.String
	r.Data = s.Data
	r.Version = s.Version
	r.CreatedAt = s.CreatedAt
	r.AuthenticatedAt = s.AuthenticatedAt.Time
	r.LastSeenAt = s.LastSeenAt
	r.ExpiresAt = s.ExpiresAt
	r.AbsoluteExpiresAt = s.AbsoluteExpiresAt
	r.ValidatedAt = validatedAt
	if s.IP != nil {
		r.IP = *s.IP
	}
	r.UserAgent = s.UserAgent.String
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

func ipOrNull(addr netip.Addr) *netip.Addr {
	if !addr.IsValid() {
		return nil
	}
	return &addr
}
