package postgres

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// This file makes parameters of statements out of values, and back.

func bytesOf(ids []store.ID) [][]byte {
	raw := make([][]byte, len(ids))
	for i := range ids {
		raw[i] = ids[i][:]
	}
	return raw
}

// setOf is for ids that the server compared with some of ours.
func setOf(ids [][]byte) map[store.ID]bool {
	set := make(map[store.ID]bool, len(ids))
	for _, id := range ids {
		set[store.ID(id)] = true
	}
	return set
}

// endOfTime is Postgres's last date.
var endOfTime = time.Date(294276, 12, 31, 0, 0, 0, 0, time.UTC)

// searchedTag returns a tag as the statements search for it, with a null: see
// owner.sql.
func searchedTag(tag store.Tag) [][]byte { return [][]byte{tag[:], nil} }

// addTags returns the tags of a row, and those that it lacks.
func addTags(row [][]byte, tags []store.Tag) []store.Tag {
	var all []store.Tag
	for _, raw := range row {
		if len(raw) == len(store.Tag{}) {
			all = append(all, store.Tag(raw))
		}
	}
	for _, tag := range tags {
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return all
}

// encodeNames returns a JSON array: Postgres's arrays can't hold lists of
// different lengths.
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

// orNull is null if s is empty.
func orNull(s string) pgtype.Text { return pgtype.Text{String: s, Valid: s != ""} }

// span is null where it doesn't apply.
func span(d time.Duration, applies bool) pgtype.Interval {
	return pgtype.Interval{Microseconds: d.Microseconds(), Valid: applies}
}

func uuidOrNull(id store.LoginID) pgtype.UUID {
	return pgtype.UUID{Bytes: id, Valid: id != store.LoginID{}}
}

// tagsOrNull returns the column of tags, which is null without any.
func tagsOrNull(tags []store.Tag) [][]byte {
	if len(tags) == 0 {
		return nil
	}
	raw := make([][]byte, len(tags))
	for i := range tags {
		raw[i] = tags[i][:]
	}
	return raw
}

func ipOrNull(addr netip.Addr) *netip.Addr {
	if !addr.IsValid() {
		return nil
	}
	return &addr
}
