// Package local keeps records in this process, in a map that is bounded in
// bytes. Package cached decides which of them may be served.
package local

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	// shards share the bytes equally. An id is a hash, so its first byte
	// selects the shard.
	shards = 64
	// Overhead is about how many bytes a record takes beside its texts and
	// data: the entry, its part of the map, and the rounding of allocations.
	Overhead = int(unsafe.Sizeof(entry{})) + 128
)

// Cache keeps records by their ids. When it is full, it drops those that were
// stored first. It drops stale ones when others are stored. A Cache is safe for
// concurrent use.
type Cache struct {
	keep    time.Duration // after it no record is served
	room    int           // bytes of a shard
	shards  [shards]shard
	evicted atomic.Int64
}

type shard struct {
	mu      sync.Mutex
	entries map[store.ID]*entry
	// oldest and newest are the ends of a list in the order of storing.
	oldest, newest *entry
	bytes          int
}

type entry struct {
	record       store.Record // is not changed: it is read without the lock
	bytes        int
	older, newer *entry
}

// New makes an empty Cache for so many bytes. keep is the age, since it was
// validated, after which a record is of no use.
func New(bytes int, keep time.Duration) *Cache {
	c := &Cache{keep: keep, room: bytes / shards}
	for i := range c.shards {
		c.shards[i].entries = map[store.ID]*entry{}
	}
	return c
}

func (c *Cache) shard(id store.ID) *shard { return &c.shards[id[0]%shards] }

// Get returns a record, nil if there is none. The caller must not change it.
func (c *Cache) Get(id store.ID) *store.Record {
	s := c.shard(id)
	s.mu.Lock()
	e := s.entries[id]
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	return &e.record
}

// Fill stores a copy of a record. It returns false if it has one that is not
// older, or if the record is too large. Then it drops the older one.
func (c *Cache) Fill(rec *store.Record) bool {
	s, e := c.shard(rec.ID), compact(rec)
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.entries[rec.ID]; was != nil {
		slot := coherence.Slot{State: coherence.Filled, Entry: entryOf(&was.record)}
		if !slot.Fill(entryOf(rec)) {
			return false
		}
		s.remove(was)
	}
	if e.bytes > c.room {
		return false
	}
	for s.oldest != nil {
		stale := s.oldest.record.ValidatedAt.Add(c.keep).Before(rec.ValidatedAt)
		if !stale && s.bytes+e.bytes <= c.room {
			break
		}
		if !stale {
			c.evicted.Add(1)
		}
		s.remove(s.oldest)
	}
	s.add(e)
	return true
}

// Remove drops the records with these ids.
func (c *Cache) Remove(ids ...store.ID) {
	for _, id := range ids {
		s := c.shard(id)
		s.mu.Lock()
		if e := s.entries[id]; e != nil {
			s.remove(e)
		}
		s.mu.Unlock()
	}
}

// Stats counts what a Cache has.
type Stats struct {
	Records, Bytes int
	// Evicted counts the records that were dropped for others before they were
	// stale.
	Evicted int64
}

// Stats returns the numbers now.
func (c *Cache) Stats() Stats {
	stats := Stats{Evicted: c.evicted.Load()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		stats.Records += len(s.entries)
		stats.Bytes += s.bytes
		s.mu.Unlock()
	}
	return stats
}

// The caller of each method below holds s.mu.

func (s *shard) add(e *entry) {
	s.entries[e.record.ID] = e
	s.bytes += e.bytes
	e.older, s.newest = s.newest, e
	if e.older == nil {
		s.oldest = e
	} else {
		e.older.newer = e
	}
}

func (s *shard) remove(e *entry) {
	delete(s.entries, e.record.ID)
	s.bytes -= e.bytes
	if e.older == nil {
		s.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		s.newest = e.older
	} else {
		e.newer.older = e.older
	}
}

// compact returns an entry with a copy of a record that shares no memory with
// it, such as the buffer of a whole statement.
func compact(rec *store.Record) *entry {
	e := &entry{record: *rec}
	r, methods := &e.record, rec.Methods.JSON()
	r.Data = append(make([]byte, 0, len(rec.Data)), rec.Data...)
	texts := strings.Join([]string{rec.UserID, rec.UserAgent, rec.PendingUserID, methods}, "")
	next := func(n int) (text string) {
		text, texts = texts[:n], texts[n:]
		return text
	}
	e.bytes = Overhead + len(r.Data) + len(texts)
	r.UserID, r.UserAgent = next(len(rec.UserID)), next(len(rec.UserAgent))
	r.PendingUserID = next(len(rec.PendingUserID))
	r.Methods = store.MethodsFromJSON(next(len(methods)))
	r.MinVersion, r.Began, r.Tags = 0, store.Began{}, nil
	return e
}

// entryOf returns what package coherence needs of a record.
func entryOf(r *store.Record) coherence.Entry {
	return coherence.Entry{
		Version: r.Version, ValidatedAt: coherence.At(r.ValidatedAt),
		ExpiresAt: coherence.At(r.ExpiresAt),
	}
}
