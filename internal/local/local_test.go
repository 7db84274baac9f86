package local_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/local"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const room = 1 << 20

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// record returns a session as Postgres has one. Sessions of the same first byte
// share a part of the room.
func record(name string, version int64, after time.Duration) *store.Record {
	id := store.ID(sha256.Sum256([]byte(name)))
	id[0] = 0
	return &store.Record{
		ID: id, Version: version, ValidatedAt: start.Add(after), UserID: "ann",
		Data: json.RawMessage(`{"name":"` + name + `"}`), ExpiresAt: start.Add(time.Hour),
		Methods: store.MethodsFromJSON(`{}`), PendingUserID: "bob",
		Client: store.Client{IP: netip.MustParseAddr("192.0.2.1"), UserAgent: "browser"},
	}
}

func TestFillKeepsTheNewer(t *testing.T) {
	c := local.New(room, time.Minute)
	if c.Get(record("a", 1, 0).ID) != nil {
		t.Error("an empty cache has a record")
	}
	for _, step := range []struct {
		version int64
		after   time.Duration
		stored  bool
	}{
		{1, 0, true},
		{1, 0, false},
		{1, time.Second, true},
		{2, 0, true},
		{1, 2 * time.Second, false},
	} {
		if got := c.Fill(record("a", step.version, step.after)); got != step.stored {
			t.Errorf("version %d, validated after %v: stored %t", step.version, step.after, got)
		}
	}
	if rec := c.Get(record("a", 1, 0).ID); rec == nil || rec.Version != 2 {
		t.Errorf("has %+v", rec)
	}
	c.Remove(record("a", 1, 0).ID, record("b", 1, 0).ID)
	if stats := c.Stats(); stats != (local.Stats{}) {
		t.Errorf("after the end: %+v", stats)
	}
}

// A record shares no memory with the one that was stored, and has all fields.
func TestFillCopies(t *testing.T) {
	c, rec := local.New(room, time.Minute), record("a", 1, 0)
	want := *record("a", 1, 0)
	c.Fill(rec)
	clear(rec.Data)
	got := *c.Get(rec.ID)
	if string(got.Data) != string(want.Data) || cap(got.Data) != len(got.Data) {
		t.Errorf("data %q, capacity %d", got.Data, cap(got.Data))
	}
	got.Data, want.Data = nil, nil
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDropsTheOldestWhenFull(t *testing.T) {
	c := local.New(room, time.Minute)
	for n := range 100 {
		c.Fill(record(fmt.Sprint(n), 1, 0))
	}
	stats := c.Stats()
	if stats.Bytes > room/64 || stats.Records < 5 || stats.Evicted != int64(100-stats.Records) {
		t.Errorf("%+v in a room of %d", stats, room/64)
	}
	if c.Get(record("0", 1, 0).ID) != nil || c.Get(record("99", 1, 0).ID) == nil {
		t.Error("the newest was dropped, or the oldest was not")
	}

	// One that is too large is not kept, and its older version neither.
	large := record("99", 2, 0)
	large.Data = json.RawMessage(`"` + strings.Repeat("x", room/64) + `"`)
	if c.Fill(large) || c.Get(large.ID) != nil {
		t.Error("a record that is too large, or its older version, is there")
	}
}

func TestDropsTheStale(t *testing.T) {
	c := local.New(room, time.Minute)
	for n := range 3 {
		c.Fill(record(fmt.Sprint(n), 1, time.Duration(n)*time.Second))
	}
	c.Fill(record("0", 1, 30*time.Second)) // is the newest now
	c.Fill(record("3", 1, time.Minute+1500*time.Millisecond))
	if got := c.Stats(); got.Records != 3 || got.Evicted != 0 {
		t.Errorf("%+v, want the third, the first again and the last", got)
	}
	if c.Get(record("1", 1, 0).ID) != nil || c.Get(record("2", 1, 0).ID) == nil {
		t.Error("the stale one is there, or another one is not")
	}
}

// The stated bytes are those of the process.
func TestBytes(t *testing.T) {
	const sessions = 20_000
	c := local.New(1<<30, time.Minute)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for n := range sessions {
		rec := record(fmt.Sprint(n), 1, 0)
		rec.ID = sha256.Sum256([]byte(fmt.Sprint(n)))
		rec.Data = json.RawMessage(`"` + strings.Repeat("x", 400) + `"`)
		c.Fill(rec)
	}
	took := heap() - before
	stated := c.Stats().Bytes
	t.Logf("%d bytes a session with 400 bytes of data, stated %d", took/sessions, stated/sessions)
	if ratio := float64(took) / float64(stated); ratio < 0.8 || ratio > 1.2 {
		t.Errorf("%d bytes, stated %d", took, stated)
	}
	runtime.KeepAlive(c)
}

func BenchmarkGet(b *testing.B) {
	c, rec := local.New(room, time.Minute), record("a", 1, 0)
	c.Fill(rec)
	b.ReportAllocs()
	for b.Loop() {
		if c.Get(rec.ID) == nil {
			b.Fatal("a miss")
		}
	}
}
