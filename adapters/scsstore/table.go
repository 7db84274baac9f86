package scsstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Table is the table of a store of scs for Postgres: token text, data bytea,
// expiry timestamptz. It is in the database of [Options.Pool].
type Table struct {
	// Name is that of the table, with its schema if search_path lacks it; empty
	// is "sessions".
	Name string
	// Codec is the Codec that the SessionManager had; nil is scs.GobCodec.
	Codec ValueCodec
}

// identifier returns the quoted name.
func (t *Table) identifier() string {
	if t.Name == "" {
		return `"sessions"`
	}
	return pgx.Identifier(strings.Split(t.Name, ".")).Sanitize()
}

// oldRow is a row of the table.
type oldRow struct {
	token  string
	data   []byte
	expiry time.Time
}

// newRow is a row of the library.
type newRow struct {
	id     store.ID
	token  string
	userID string
	data   []byte
	expiry time.Time
}

// convert returns the row of the library for a row of scs.
func (s *Store) convert(of Codec, old *oldRow) (row newRow, err error) {
	deadline, values, err := of.values.Decode(old.data)
	if err != nil {
		return row, err
	}
	row = newRow{id: idOf(old.token), token: old.token, expiry: old.expiry}
	if row.data, err = s.codec.Encode(deadline, values); err != nil {
		return row, err
	}
	object, err := members(row.data)
	if err != nil {
		return row, err
	}
	row.userID, err = s.userOf(object)
	return row, err
}

// codecOf returns the codec of the table.
func (t *Table) codecOf() Codec {
	if t.Codec == nil {
		return Codec{gobCodec{}}
	}
	return Codec{t.Codec}
}

// selectRows returns rows behind a token that have not expired. Rows that
// another process is moving are left out.
func selectRows(
	ctx context.Context, db pgx.Tx, t *Table, after string, most int,
) ([]oldRow, error) {
	return collect(db.Query(ctx, `
		SELECT o.token, o.data, o.expiry FROM `+t.identifier()+` AS o
		WHERE o.token OPERATOR(pg_catalog.>) $1
			AND o.expiry OPERATOR(pg_catalog.>) pg_catalog.now()
		ORDER BY o.token LIMIT $2 FOR UPDATE SKIP LOCKED`, after, most))
}

// selectRow returns the row with a token, if there is one. It waits for a
// process that is moving it.
func selectRow(ctx context.Context, db pgx.Tx, t *Table, token string) ([]oldRow, error) {
	return collect(db.Query(ctx, `
		SELECT o.token, o.data, o.expiry FROM `+t.identifier()+` AS o
		WHERE o.token OPERATOR(pg_catalog.=) $1
			AND o.expiry OPERATOR(pg_catalog.>) pg_catalog.now()
		FOR UPDATE`, token))
}

func collect(rows pgx.Rows, err error) ([]oldRow, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r oldRow, err error) {
		err = row.Scan(&r.token, &r.data, &r.expiry)
		return r, err
	})
}

// move deletes rows of scs and inserts them into the library's table, in the
// transaction that has locked them. It returns those that were inserted. A
// session that is there already, has ended here, or whose user has been
// revoked, is not. The
// time of a login is unknown: it counts as older than any revoke.
func (s *Store) move(ctx context.Context, db pgx.Tx, t *Table, rows []newRow) ([]newRow, error) {
	// There a session needs an entry of its user, see ADR 1905.
	switch distributed, err := schema.Distributed(ctx, db, cmp.Or(s.options.Schema, "pgsession")); {
	case err != nil:
		return nil, err
	case distributed:
		return nil, errDistributed
	}
	var ids, keys [][]byte
	var tokens, users, data []string
	var ends []time.Time
	var everyone []byte
	for i := range rows {
		r := &rows[i]
		refusing := postgres.MarkKeys(r.userID)
		everyone, keys = refusing[0], append(keys, refusing[1])
		ids, tokens = append(ids, r.id[:]), append(tokens, r.token)
		users, data = append(users, r.userID), append(data, string(r.data))
		ends = append(ends, r.expiry)
	}
	_, err := db.Exec(ctx, `DELETE FROM `+t.identifier()+` AS o
		WHERE o.token OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])`, tokens)
	if err != nil {
		return nil, err
	}
	own := s.schema()
	inserted, err := db.Query(ctx, `
		INSERT INTO `+own+`.sessions AS s (
			id, user_id, data, expires_at, absolute_expires_at, authenticated_at
		)
		SELECT
			u.id, u.user_id, u.data::pg_catalog.json, u.ends, u.ends,
			CASE WHEN u.user_id IS NOT NULL THEN timestamp with time zone 'epoch' END
		FROM (
			SELECT
				pg_catalog.unnest($1::pg_catalog.bytea[]) AS id,
				nullif(pg_catalog.unnest($2::pg_catalog.text[]), '') AS user_id,
				pg_catalog.unnest($3::pg_catalog.text[]) AS data,
				pg_catalog.unnest($4::pg_catalog.timestamptz[]) AS ends,
				pg_catalog.unnest($5::pg_catalog.bytea[]) AS key
		) AS u
		WHERE (u.user_id IS NULL OR NOT EXISTS (
			SELECT FROM `+own+`.marks AS m
			WHERE m.key OPERATOR(pg_catalog.=) u.key OR m.key OPERATOR(pg_catalog.=) $6
		)) AND NOT EXISTS (
			SELECT FROM `+own+`.endings AS e WHERE e.id OPERATOR(pg_catalog.=) u.id
		)
		ON CONFLICT (id) DO NOTHING
		RETURNING s.id`, ids, users, data, ends, keys, everyone)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(inserted, pgx.RowTo[[]byte])
	if err != nil {
		return nil, err
	}
	there := map[store.ID]bool{}
	for _, id := range found {
		there[store.ID(id)] = true
	}
	var moved []newRow
	for i := range rows {
		if there[rows[i].id] {
			moved = append(moved, rows[i])
		}
	}
	return moved, nil
}

// look ends moved sessions whose user was revoked while they were moved: that
// revoke could not see the rows. It returns the others.
func (s *Store) look(ctx context.Context, moved []newRow) (kept []newRow, err error) {
	var marked bool
	if err := s.options.Pool.QueryRow(ctx,
		`SELECT EXISTS (SELECT FROM `+s.schema()+`.marks)`).Scan(&marked); err != nil || !marked {
		return moved, err
	}
	for i := range moved {
		if moved[i].userID == "" {
			kept = append(kept, moved[i])
			continue
		}
		unknown := store.Change{Began: store.BeganAt(time.Time{})}
		_, err := s.sessions.Save(ctx, moved[i].id, unknown)
		switch {
		case err == nil:
			kept = append(kept, moved[i])
		case !errors.Is(err, store.ErrRevoked) && !errors.Is(err, store.ErrNotFound):
			return kept, err
		}
	}
	return kept, nil
}

// schema returns the quoted name of the library's schema.
func (s *Store) schema() string {
	if s.options.Schema == "" {
		return `"pgsession"`
	}
	return pgx.Identifier{s.options.Schema}.Sanitize()
}

var errDistributed = errors.New("the sessions are distributed by Citus, where no session of" +
	" scs can be moved: set no TakeOver, and users log in again")

var errNoPool = errors.New("Options.Pool is not set: pass a pool on the database of the sessions")

// AllCtx returns the data of all sessions, for Iterate of scs. Only clients
// have the tokens, so the keys are names: Destroy and Commit in an Iterate take
// them, and as a cookie they find nothing. It reads the table, without sessions
// of an emergency.
func (s *Store) AllCtx(ctx context.Context) (map[string][]byte, error) {
	if s.options.Pool == nil {
		return nil, fmt.Errorf("scsstore: all: %w", errNoPool)
	}
	rows, err := s.options.Pool.Query(ctx, `
		SELECT s.id, s.data FROM `+s.schema()+`.sessions AS s
		WHERE s.expires_at OPERATOR(pg_catalog.>) pg_catalog.now()`)
	if err != nil {
		return nil, fmt.Errorf("scsstore: all: %w", err)
	}
	all := map[string][]byte{}
	var id []byte
	var data json.RawMessage
	if _, err := pgx.ForEachRow(rows, []any{&id, &data}, func() error {
		if written(data) {
			all[nameOf(store.ID(id))] = append([]byte(nil), data...)
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("scsstore: all: %w", err)
	}
	return all, nil
}

// All implements IterableStore of scs.
func (s *Store) All() (map[string][]byte, error) { return s.AllCtx(context.Background()) }
