package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func (p *Store) loadOne(ctx context.Context, id *store.ID) (*store.Record, error) {
	rec, err := p.one(ctx, opLoad, func(ctx context.Context, db querier) (*store.Record, error) {
		rec, err := p.record(ctx, db, func(db querier) error {
			_, err := p.queries.SessionLoad(ctx, db, id[:])
			return err
		})
		if !errors.Is(err, pgx.ErrNoRows) {
			return rec, err
		}
		expired, failed := p.expired(ctx, db, [][]byte{id[:]})
		switch {
		case failed != nil:
			return nil, failed
		case len(expired) > 0:
			return nil, store.ErrExpired
		}
		return nil, err
	})
	if rowFault(err) { // such as a text of more than a gigabyte, whose value takes little room
		broken := &rowError{handle: id.Handle(), problem: "Postgres can't return it: SQLSTATE " + sqlState(err)}
		p.Broken.report(ctx, broken)
		return nil, broken
	}
	return rec, err
}

// loadMany returns the live sessions, and those that have expired as records without a version.
func (p *Store) loadMany(ctx context.Context, ids []store.ID) (got rowsRead, err error) {
	arg := make([][]byte, len(ids))
	for i := range ids {
		arg[i] = ids[i][:]
	}
	err = p.run(ctx, opLoad, func(ctx context.Context, db querier) (err error) {
		got, err = p.read(ctx, db, len(ids), unread(ctx, func(ctx context.Context, db gen.DBTX) ([]*gen.SessionLoadManyRow, error) {
			return p.queries.SessionLoadMany(ctx, db, arg)
		}))
		if err != nil || len(got.records)+len(got.broken) == len(ids) {
			return err
		}
		found := make(map[string]bool, len(ids))
		for i := range got.records {
			found[string(got.records[i].ID[:])] = true
		}
		for _, b := range got.broken {
			found[string(b.id)] = true
		}
		missing := slices.DeleteFunc(slices.Clone(arg), func(id []byte) bool { return found[string(id)] })
		expired, err := p.expired(ctx, db, missing)
		got.records = append(got.records, expired...)
		return err
	})
	return got, err
}

// expired says which of the sessions that a load has not found have expired. It must be asked on the connection of the load: the
// server says also whether it is a standby, which may not have heard of a session yet and had no row to say so.
func (p *Store) expired(ctx context.Context, db querier, ids [][]byte) ([]store.Record, error) {
	if p.distributed.Load() && len(ids) == 1 {
		one, err := p.queries.DistributedMissing(ctx, db, ids[0])
		return missing((*gen.SessionMissingRow)(one), err)
	}
	return missing(p.queries.SessionMissing(ctx, db, ids))
}

func missing(missing *gen.SessionMissingRow, err error) ([]store.Record, error) {
	switch {
	case err != nil:
		return nil, err
	case missing.Standby:
		return nil, errStandby
	}
	recs := make([]store.Record, len(missing.Expired))
	for i, id := range missing.Expired {
		recs[i].ID = store.ID(id) // the server compared it with one
	}
	return recs, nil
}
