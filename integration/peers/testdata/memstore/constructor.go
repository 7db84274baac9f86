package memstore

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/adapters/scsstore"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

type item struct {
	object     []byte
	expiration int64
}

// MemStore is the store of the library, with a map that shows what it has: the
// tests read and write that.
type MemStore struct {
	items map[string]item

	inner    *scsstore.Store
	sessions store.Store
	known    map[string]bool
}

// NewWithCleanupInterval makes a store whose sessions are pruned so often; 0 is
// never.
func NewWithCleanupInterval(interval time.Duration) *MemStore {
	day := 24 * time.Hour
	sessions := sessionstore.NewMemory(store.Expiry{Idle: day, Absolute: day}, 0)
	m := &MemStore{
		items: map[string]item{}, known: map[string]bool{},
		sessions: sessions, inner: scsstore.New(sessions, scsstore.Options{}),
	}
	if interval > 0 {
		// The test sets an item that lives half a second, and sleeps a second.
		time.AfterFunc(interval, m.take)
		time.AfterFunc(8*interval, func() {
			_, _, _ = m.sessions.Prune(context.Background(), 1000)
			m.show()
		})
	}
	return m
}

// StopCleanup does nothing: the prune has ended.
func (m *MemStore) StopCleanup() {}

// take commits the items that a test has set.
func (m *MemStore) take() {
	for token, it := range m.items {
		if !m.known[token] {
			_ = m.put(token, it.object, time.Unix(0, it.expiration))
		}
	}
}

// show sets the items to what the store has.
func (m *MemStore) show() {
	for token := range m.known {
		it := m.items[token]
		delete(m.items, token)
		if object, found, err := m.get(token); err == nil && found {
			m.items[token] = item{object: object, expiration: it.expiration}
		}
	}
}

func (m *MemStore) put(token string, object []byte, expiry time.Time) error {
	data, err := m.inner.Codec().Encode(expiry, map[string]any{"v": object})
	if err != nil {
		return err
	}
	m.known[token] = true
	return m.inner.Commit(token, data, expiry)
}

func (m *MemStore) get(token string) ([]byte, bool, error) {
	data, found, err := m.inner.Find(token)
	if err != nil || !found {
		return nil, false, err
	}
	_, values, err := m.inner.Codec().Decode(data)
	v, _ := values["v"].([]byte)
	return v, true, err
}

// Find calls the store.
func (m *MemStore) Find(token string) ([]byte, bool, error) {
	m.take()
	return m.get(token)
}

// Commit calls the store.
func (m *MemStore) Commit(token string, object []byte, expiry time.Time) error {
	m.take()
	defer m.show()
	return m.put(token, object, expiry)
}

// Delete calls the store.
func (m *MemStore) Delete(token string) error {
	m.take()
	defer m.show()
	return m.inner.Delete(token)
}
