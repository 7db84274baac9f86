package scsstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// ImportOptions are those of [Store.Import]. The zero value is ready for use.
type ImportOptions struct {
	// Batch is how many rows one transaction moves; 0 is 500.
	Batch int
	// DryRun counts and decodes rows, and changes nothing.
	DryRun bool
	// Progress is called after each batch. Nil is for no calls.
	Progress func(Imported)
}

// Imported counts the rows of an import.
type Imported struct {
	// Moved rows are sessions of the library now, or would be.
	Moved int
	// Dropped rows were there already, or their session has ended here, or a
	// revoke of their user refuses them. Their old rows are gone.
	Dropped int
	// Bad rows could not be decoded. They stay where they are.
	Bad int
	// BadRows names bad rows, the first hundred, by the handle that their
	// session would have.
	BadRows []store.Handle
	// Err is the error of the first bad row.
	Err error
}

// maxBadRows bounds [Imported.BadRows].
const maxBadRows = 100

// defaultBatch is a transaction of some 50 ms.
const defaultBatch = 500

// Import moves the sessions of scs's own table into the library's. Each batch
// is one transaction, so an import that was stopped is resumed by a further
// call, and no session is ever in both tables. Expired rows stay. Stop the
// instances that write to the old table first, or use [TakeOver] as well.
//
// Users stay logged in: their tokens do not change. For RequireFresh and for
// revokes a login is infinitely old.
func (s *Store) Import(ctx context.Context, from Table, o ImportOptions) (Imported, error) {
	var done Imported
	if s.options.Pool == nil {
		return done, fmt.Errorf("scsstore: import: %w", errNoPool)
	}
	size := cmp.Or(max(o.Batch, 0), defaultBatch)
	for after, more := "", true; more; {
		err := s.importBatch(ctx, &from, o.DryRun, size, &after, &more, &done)
		if err != nil {
			return done, fmt.Errorf("scsstore: import: %w", err)
		}
		if o.Progress != nil {
			o.Progress(done)
		}
	}
	return done, nil
}

// importBatch moves the rows behind a token, and counts them. If Postgres
// refuses one of them it moves each by itself.
func (s *Store) importBatch(
	ctx context.Context, from *Table, dry bool, size int, after *string, more *bool, done *Imported,
) error {
	var good, moved []newRow
	err := pgx.BeginFunc(ctx, s.options.Pool, func(tx pgx.Tx) error {
		old, err := selectRows(ctx, tx, from, *after, size)
		if err != nil {
			return err
		}
		*more = len(old) == size
		for i := range old {
			*after = old[i].token
			row, err := s.convert(from.codecOf(), &old[i])
			if err != nil {
				done.bad(old[i].token, err)
				continue
			}
			good = append(good, row)
		}
		if dry || len(good) == 0 {
			moved = good
			return nil
		}
		moved, err = s.move(ctx, tx, from, good)
		return err
	})
	if refusedRow(err) {
		return s.importSingly(ctx, from, good, done)
	}
	if err != nil {
		return err
	}
	if !dry {
		if moved, err = s.look(ctx, moved); err != nil {
			return err
		}
	}
	done.Moved += len(moved)
	done.Dropped += len(good) - len(moved)
	return nil
}

// importSingly moves each row in a transaction of its own.
func (s *Store) importSingly(
	ctx context.Context, from *Table, rows []newRow, done *Imported,
) error {
	for i := range rows {
		moved, err := s.moveOne(ctx, from, rows[i].token)
		switch {
		case refusedRow(err):
			done.bad(rows[i].token, err)
		case err != nil:
			return err
		default:
			done.Moved += moved
			done.Dropped += 1 - moved
		}
	}
	return nil
}

// refusedRow reports whether Postgres refuses the values of a row.
func refusedRow(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) &&
		(strings.HasPrefix(pgErr.Code, "22") || strings.HasPrefix(pgErr.Code, "23"))
}

func (d *Imported) bad(token string, err error) {
	if d.Bad++; d.Bad == 1 {
		d.Err = err
	}
	if len(d.BadRows) < maxBadRows {
		d.BadRows = append(d.BadRows, idOf(token).Handle())
	}
}

// TakeOver moves a session from scs's own table when a request first uses it,
// in place of an import or after one. All instances must have the [Store] by
// then: one that still writes to the old table makes two truths.
type TakeOver struct {
	Table

	// Until ends the take-over, which costs each request with an unknown token
	// a look at the old table. Required: the zero time takes over nothing. At
	// most 400 days ahead: the marks of revokes are kept for so long.
	Until time.Time
}

const maxTakeOver = 400 * 24 * time.Hour

var errUntil = errors.New("TakeOver.Until: must be at most 400 days ahead")

func (s *Store) takesOver() bool {
	return s.options.TakeOver != nil && time.Now().Before(s.options.TakeOver.Until)
}

// takeOver moves the session with a token, if it is in the old table. Of ten
// requests at once the first one moves it, and the others wait for that.
func (s *Store) takeOver(ctx context.Context, token string) error {
	if err := s.checkTakeOver(); err != nil {
		return err
	}
	if _, err := s.moveOne(ctx, &s.options.TakeOver.Table, token); err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	return nil
}

func (s *Store) checkTakeOver() error {
	switch {
	case s.options.Pool == nil:
		return errNoPool
	case time.Until(s.options.TakeOver.Until) > maxTakeOver:
		return errUntil
	}
	return nil
}

// deleteOld deletes the row with a token from the old table, if it is there.
func (s *Store) deleteOld(ctx context.Context, token string) error {
	if err := s.checkTakeOver(); err != nil {
		return err
	}
	_, err := s.options.Pool.Exec(ctx, `DELETE FROM `+s.options.TakeOver.identifier()+` AS o
		WHERE o.token OPERATOR(pg_catalog.=) $1`, token)
	return err
}

// moveOne moves the row with a token, if there is one, and returns how many it
// moved.
func (s *Store) moveOne(ctx context.Context, from *Table, token string) (int, error) {
	var moved []newRow
	err := pgx.BeginFunc(ctx, s.options.Pool, func(tx pgx.Tx) error {
		old, err := selectRow(ctx, tx, from, token)
		if err != nil || len(old) == 0 {
			return err
		}
		row, err := s.convert(from.codecOf(), &old[0])
		if err != nil {
			return err
		}
		moved, err = s.move(ctx, tx, from, []newRow{row})
		return err
	})
	if err != nil {
		return 0, err
	}
	moved, err = s.look(ctx, moved)
	return len(moved), err
}

// gobCodec reads what scs.GobCodec writes.
type gobCodec struct{}

// gobData is the structure that scs.GobCodec writes.
type gobData struct {
	Deadline time.Time
	Values   map[string]any
}

func (gobCodec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(gobData{deadline, values})
	return b.Bytes(), err
}

func (gobCodec) Decode(data []byte) (time.Time, map[string]any, error) {
	var d gobData
	err := gob.NewDecoder(bytes.NewReader(data)).Decode(&d)
	return d.Deadline, d.Values, err
}
