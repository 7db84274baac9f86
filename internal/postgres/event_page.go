package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Recorded is an event that a transaction has recorded.
type Recorded struct {
	ID      int64
	At      time.Time
	Kind    string
	UserID  string
	Handle  store.Handle
	LoginID store.LoginID
	Level   int
	store.Client
	Methods []string
	Reason  string
	Actor   string
	Detail  string
	Count   int64
	// Counted: Count is known.
	Counted bool
}

var (
	errBadCursor = fmt.Errorf("%w: it is none of Events: begin with an empty one",
		store.ErrEventCursor)

	errForeignCursor = fmt.Errorf("%w: it is of another database cluster: begin with an empty"+
		" cursor, and skip the events whose ID and At you have", store.ErrEventCursor)
	errLostCursor = fmt.Errorf("%w: its event is not here, after a failover that lost it or a"+
		" prune: begin with an empty cursor, and skip the events whose ID and At you have",
		store.ErrEventCursor)
)

// errForeignEvents: a restore of a dump has copied the events, and this cluster
// has yet to come to their transactions.
func errForeignEvents(schemaName string) error {
	return fmt.Errorf("events were copied from another database cluster, and have its"+
		" transaction numbers: UPDATE %s.events SET tx = '3', as its owner", schemaName)
}

// eventsAtOnce bounds a page of events.
const eventsAtOnce = 1000

// cursor is a place in the events: behind one, in one cluster. The zero cursor
// is their beginning.
type cursor struct {
	cluster string
	tx      string
	id      int64
	at      time.Time
}

func (c *cursor) String() string {
	text := fmt.Sprintf("1 %s %s %d %d", c.cluster, c.tx, c.id, c.at.UnixMicro())
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func parseCursor(s string) (c cursor, err error) {
	if s == "" {
		return cursor{tx: "0", at: time.Unix(0, 0)}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.Split(string(text), " ")
	if err != nil || len(parts) != 5 || parts[0] != "1" {
		return c, errBadCursor
	}
	var micro int64
	_, bad := strconv.ParseUint(parts[2], 10, 64)
	c.cluster, c.tx = parts[1], parts[2]
	c.id, err = strconv.ParseInt(parts[3], 10, 64)
	if err == nil {
		micro, err = strconv.ParseInt(parts[4], 10, 64)
	}
	if bad != nil || err != nil {
		return c, errBadCursor
	}
	c.at = time.UnixMicro(micro)
	return c, nil
}

// Events returns the events behind a cursor, and the cursor of the next page.
// An empty page leaves the cursor as it is.
func (s *Store) Events(ctx context.Context, after string) ([]Recorded, string, error) {
	place, err := parseCursor(after)
	if err != nil {
		return nil, "", err
	}
	var rows []*gen.EventPageRow
	run := func(ctx context.Context, db querier) (err error) {
		rows, err = s.plain.queries.EventPage(ctx, db, &gen.EventPageParams{
			Tx: place.tx, ID: place.id, At: place.at, Max: eventsAtOnce,
		})
		return err
	}
	if err := s.exec.exec(ctx, statement{op: opEvents, run: run}); err != nil {
		return nil, "", err
	}
	switch first := rows[0]; {
	case after != "" && first.Cluster != place.cluster:
		return nil, "", errForeignCursor
	case first.ForeignRows:
		return nil, "", errForeignEvents(s.pool.schema)
	case after != "" && !first.Known:
		return nil, "", errLostCursor
	case first.Kind == "":
		return nil, after, nil
	}
	events := make([]Recorded, len(rows))
	for i, row := range rows {
		events[i] = Recorded{
			ID: row.ID, At: row.At, Kind: row.Kind, UserID: row.UserID.String,
			Handle: store.Handle(row.Session.String), LoginID: row.LoginID.Bytes,
			Level: int(row.Level.Int16), Methods: row.Methods,
			Reason: row.Reason.String, Actor: row.Actor.String, Detail: row.Detail.String,
			Count: row.Count.Int64, Counted: row.Count.Valid,
		}
		events[i].UserAgent = row.UserAgent.String
		if row.IP != nil {
			events[i].IP = *row.IP
		}
		place = cursor{row.Cluster, row.Tx, row.ID, row.At}
	}
	return events, place.String(), nil
}
