package memory

import (
	"github.com/reporadar/pgsession/sessionstore/store"
)

// ids are the ids of sessions.
type ids map[store.ID]struct{}

// index finds sessions by their owner and by their tags, so that no call reads
// all sessions to find a few.
type index struct {
	owned   ids // the sessions that have an owner
	byOwner map[string]ids
	byTag   map[store.Tag]ids
}

func newIndex() index {
	return index{owned: ids{}, byOwner: map[string]ids{}, byTag: map[store.Tag]ids{}}
}

func (x *index) add(rec *store.Record) {
	if user := owner(rec); user != "" {
		x.owned[rec.ID] = struct{}{}
		insert(x.byOwner, user, rec.ID)
	}
	for _, tag := range rec.Tags {
		insert(x.byTag, tag, rec.ID)
	}
}

func (x *index) remove(rec *store.Record) {
	delete(x.owned, rec.ID)
	remove(x.byOwner, owner(rec), rec.ID)
	for _, tag := range rec.Tags {
		remove(x.byTag, tag, rec.ID)
	}
}

// find returns the sessions with a tag, or those of a user where that is zero.
func (x *index) find(userID string, tag store.Tag) ids {
	if tag != (store.Tag{}) {
		return x.byTag[tag]
	}
	return x.byOwner[userID]
}

func insert[K comparable](of map[K]ids, key K, id store.ID) {
	if of[key] == nil {
		of[key] = ids{}
	}
	of[key][id] = struct{}{}
}

func remove[K comparable](of map[K]ids, key K, id store.ID) {
	if delete(of[key], id); len(of[key]) == 0 {
		delete(of, key)
	}
}
