package operator

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// found is the session that has a handle.
type found struct {
	id        store.ID
	userID    string // empty for a visitor's
	createdAt time.Time
}

// bytesInSQL are the bytes of the handle of the session s. An index on them has
// the label as a constant, so no parameter stands here.
var bytesInSQL = fmt.Sprintf(`substring(pg_catalog.sha256(
	pg_catalog.decode('%x', 'hex') OPERATOR(pg_catalog.||) s.id) FROM 1 FOR 16)`, store.HandleLabel)

// handleSearch reads the whole table, unless an administrator has made an index
// of handles, which each login has to write.
var handleSearch = `
	SELECT s.id, coalesce(s.user_id, s.pending_user_id, ''), s.created_at
	FROM pgsession.sessions AS s
	WHERE s.expires_at OPERATOR(pg_catalog.>) pg_catalog.now()
		AND ` + bytesInSQL + ` OPERATOR(pg_catalog.=) $1::pg_catalog.bytea
	LIMIT 1`

const (
	handleBytes   = 16
	queryCanceled = "57014"
)

// checkHandle returns an error for what can be no handle.
func checkHandle(handle string) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(handle)
	if err != nil || len(b) != handleBytes {
		return errors.New("-handle: a handle has 22 letters, digits, - and _," +
			" as logs and lists of devices show it; a token is none")
	}
	return nil
}

// find finds a live session by its handle.
func (i *installation) find(ctx context.Context, handle string) (found, error) {
	var f found
	var id []byte
	b, err := base64.RawURLEncoding.Strict().DecodeString(handle)
	if err != nil {
		return f, err
	}
	exists, err := i.row(ctx, handleSearch, []any{b},
		[]any{&id, &f.userID, &f.createdAt})
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == queryCanceled:
		return f, fmt.Errorf("the search for a handle reads the whole table, and Postgres ended"+
			" it: give -user too, or a role with a longer statement_timeout: %w", err)
	case err != nil:
		return f, fmt.Errorf("search for the handle: %w", err)
	case !exists || len(id) != len(f.id):
		return f, noSession(handle)
	}
	copy(f.id[:], id)
	return f, nil
}

func noSession(handle string) error {
	return fmt.Errorf("no live session has the handle %s: it has ended or expired, or a login gave"+
		" it another handle: `pgsession sessions -user USER` lists those that are alive", handle)
}

// info returns the session as a list has it.
func (i *installation) info(ctx context.Context, f found) ([]sessionstore.Info, error) {
	page := sessionstore.Page{Before: f.createdAt, After: before(f.id), Max: 1}
	if f.userID == "" {
		return i.ListAll(ctx, page)
	}
	return i.List(ctx, f.userID, page)
}

// before returns the id before this one. A page begins behind it.
func before(id store.ID) store.ID {
	for n := len(id) - 1; n >= 0; n-- {
		id[n]--
		if id[n] != 0xff {
			break
		}
	}
	return id
}
