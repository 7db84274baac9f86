package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/nodes"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Load implements [store.Store].
func (s *plainStore) Load(ctx context.Context, id store.ID, _ int64) (store.Record, error) {
	rec, err := s.loads.call(ctx, id)
	return rec, s.loadError(ctx, id, err)
}

// loadError makes the error of a broken row out of one that Postgres returned
// for the values of a row, such as a text of more than a gigabyte.
func (b *base) loadError(ctx context.Context, id store.ID, err error) error {
	if !rowFault(err) {
		return err
	}
	broken := &rowError{
		handle:  id.Handle(),
		problem: "Postgres can't return it: SQLSTATE " + sqlState(err),
	}
	b.broken.report(ctx, broken)
	return broken
}

// load is the statement for one session.
func (s *plainStore) load(ctx context.Context, db querier, id *store.ID) (*store.Record, error) {
	return s.loadRow(ctx, db, id, func() (*gen.SessionMissingRow, error) {
		return s.missing(ctx, db, [][]byte{id[:]})
	})
}

// missing asks why sessions are not there. Postgres plans that whenever it
// runs: the table of the endings may be empty for long, and a plan that was
// kept since then would read all of it.
func (s *plainStore) missing(
	ctx context.Context, db querier, ids [][]byte,
) (*gen.SessionMissingRow, error) {
	if s.exec.plans != nil {
		db = &replanned{db}
	}
	return s.queries.SessionMissing(ctx, db, ids)
}

// loadRow loads a session. missing asks why there is none.
func (b *base) loadRow(
	ctx context.Context, db querier, id *store.ID, missing func() (*gen.SessionMissingRow, error),
) (*store.Record, error) {
	r := b.reader(db, 1)
	_, err := b.queries.SessionLoad(ctx, r, id[:])
	rec, err := r.one(ctx, err)
	if !errors.Is(err, pgx.ErrNoRows) {
		return rec, err
	}
	reasons, err := reasonsOf(missing())
	switch reason := reasons[*id]; {
	case err != nil:
		return nil, err
	case reason != nil:
		return nil, reason
	}
	return nil, pgx.ErrNoRows
}

// reasonsOf returns why sessions are over that a load has not found, as far as
// Postgres has the reason. SessionMissing must run on the connection of the
// load: its row says whether the server is a standby, which may not have a
// session yet.
func reasonsOf(missing *gen.SessionMissingRow, err error) (map[store.ID]error, error) {
	switch {
	case err != nil:
		return nil, err
	case missing.Standby:
		return nil, errStandby
	}
	reasons := map[store.ID]error{}
	for _, of := range []struct {
		ids    [][]byte
		reason error
	}{
		{missing.Ended, store.ErrEnded},
		{missing.Replaced, store.ErrReplaced},
		{missing.Expired, store.ErrExpired}, // the row is younger than an ending of its id
	} {
		for _, id := range of.ids {
			reasons[store.ID(id)] = of.reason // the server compared it with one
		}
	}
	return reasons, nil
}

// loadMany is the statement for many sessions. It returns the live ones, and
// why others are over.
func (s *plainStore) loadMany(ctx context.Context, db querier, ids []store.ID) (rowsRead, error) {
	arg := bytesOf(ids)
	r := s.reader(db, len(ids))
	left, err := s.queries.SessionLoadMany(ctx, r, arg)
	read, err := r.many(ctx, len(left), err)
	if err != nil || len(read.records)+len(read.broken) == len(ids) {
		return read, err
	}
	found := make(map[string]bool, len(ids))
	for i := range read.records {
		found[string(read.records[i].ID[:])] = true
	}
	for _, b := range read.broken {
		found[string(b.id)] = true
	}
	rest := slices.DeleteFunc(arg, func(id []byte) bool { return found[string(id)] })
	read.over, err = reasonsOf(s.missing(ctx, db, rest))
	return read, err
}

// List implements [store.Store].
func (b *base) List(ctx context.Context, userID string, page store.Page) ([]store.Record, error) {
	arg := &gen.OwnerListParams{
		UserID: userID, Before: page.Before, After: page.After[:], Max: int32(page.Limit()),
		MaxPending: int32(page.PendingLimit()),
	}
	if page.Before.IsZero() {
		arg.Before = endOfTime
	}
	for {
		var read rowsRead
		run := func(ctx context.Context, db querier) error {
			r := b.reader(db, 0)
			left, err := b.list(ctx, r, &page, arg)
			read, err = r.many(ctx, left, err)
			return err
		}
		err := b.exec.exec(ctx, statement{op: opList, run: run, on: nodes.Everywhere})
		if err != nil {
			return nil, err
		}
		for i := range read.records {
			read.records[i].Data = nil
		}
		if len(read.records) > 0 || len(read.broken) < page.Limit() {
			return read.records, nil
		}
		// An empty page is the end of the list to a caller, and this one has
		// only rows that can't be read: the next may have others.
		last := read.broken[len(read.broken)-1]
		if !last.created.Before(arg.Before) && bytes.Compare(last.id, arg.After) <= 0 {
			return nil, nil
		}
		arg.Before, arg.After = last.created, last.id
	}
}

// list runs the statement of a page, and returns how many rows it has left.
func (b *base) list(
	ctx context.Context, db querier, page *store.Page, arg *gen.OwnerListParams,
) (left int, err error) {
	switch {
	case page.All:
		rows, err := b.queries.AllList(ctx, db, &gen.AllListParams{
			Before: arg.Before, After: arg.After, Max: arg.Max,
		})
		return len(rows), err
	case page.Tag != store.Tag{}:
		rows, err := b.queries.TagList(ctx, db, &gen.TagListParams{
			Tag: searchedTag(page.Tag), Before: arg.Before, After: arg.After, Max: arg.Max,
		})
		return len(rows), err
	}
	rows, err := b.queries.OwnerList(ctx, db, arg)
	return len(rows), err
}

// Alive implements [store.Store].
func (b *base) Alive(ctx context.Context, ids []store.ID) (alive, ended []store.ID, err error) {
	var found [][]byte
	arg := bytesOf(ids)
	run := func(ctx context.Context, db querier) (err error) {
		found, err = b.alive(ctx, db, arg)
		return err
	}
	err = b.exec.exec(ctx, statement{op: opAlive, run: run, on: nodes.Everywhere})
	if err != nil {
		return nil, nil, err
	}
	live := setOf(found)
	for _, id := range ids {
		if live[id] {
			alive = append(alive, id)
		} else {
			ended = append(ended, id)
		}
	}
	return alive, ended, nil
}

// alive returns those of the sessions that are alive. The rows of a standby are
// no answer: it may lack a revoke, and the latest sessions.
func (b *base) alive(ctx context.Context, db querier, ids [][]byte) ([][]byte, error) {
	found, err := b.queries.OwnerAlive(ctx, db, ids)
	if err != nil {
		return nil, err
	}
	server := slices.IndexFunc(found, func(id []byte) bool { return len(id) == 0 })
	if server < 0 {
		return nil, errStandby
	}
	return slices.Delete(found, server, server+1), nil
}

// tags returns the tags of a session, none if it is not alive.
func (b *base) tags(ctx context.Context, id store.ID) (tags []store.Tag, err error) {
	run := func(ctx context.Context, db querier) error {
		row, err := b.queries.SessionTags(ctx, db, id[:])
		switch {
		case err != nil:
			return err
		case row.Standby:
			return errStandby
		}
		tags = addTags(row.Tags, nil)
		return nil
	}
	err = b.exec.exec(ctx, statement{op: opLook, run: run, on: b.exec.nodes.at(id)})
	return tags, err
}

// exist returns those of the sessions that exist.
func (b *base) exist(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	alive, _, err := b.Alive(ctx, ids)
	return alive, err
}
