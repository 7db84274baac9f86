package cachetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

var id = cache.ID{1}

func fill(t *testing.T, c *cachetest.Cache, version int64) bool {
	t.Helper()
	e := cache.Entry{Version: version, ValidatedAt: time.Now(), Data: []byte("data")}
	stored, err := c.Fill(t.Context(), id, e, time.Minute)
	if err != nil {
		t.Error(err)
	}
	return stored
}

func get(t *testing.T, c *cachetest.Cache, want error) {
	t.Helper()
	for name, read := range map[string]func(context.Context, cache.ID) (cache.Entry, error){
		"get": c.Get, "await": c.Await,
	} {
		e, err := read(t.Context(), id)
		if !errors.Is(err, want) || err == nil && string(e.Data) != "data" {
			t.Errorf("%s: %s, %v", name, e.Data, err)
		}
	}
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cachetest.New()
		get(t, c, cache.ErrMiss)
		if !fill(t, c, 2) || fill(t, c, 1) || !fill(t, c, 3) {
			t.Error("the newest entry does not win")
		}
		peer := c.Peer()
		get(t, peer, nil)
		e, err := c.Get(t.Context(), id)
		if clear(e.Data); err != nil {
			t.Error(err)
		}
		get(t, peer, nil)

		if err := peer.PutTombstones(t.Context(), time.Minute, id); err != nil {
			t.Error(err)
		}
		get(t, c, cache.ErrTombstone)
		if fill(t, c, 9) {
			t.Error("an entry in the place of a tombstone")
		}
		time.Sleep(time.Minute + 1)
		get(t, c, cache.ErrMiss)
		fill(t, c, 1)
		c.Flush()
		get(t, peer, cache.ErrMiss)
	})
}

func TestFaults(t *testing.T) {
	c := cachetest.New()
	fill(t, c, 1)
	peer := c.Peer()
	peer.Down(cachetest.OpGet, cachetest.OpAwait, cachetest.OpPutTombstones)
	get(t, peer, cache.ErrUnavailable)
	get(t, c, nil)
	err := peer.PutTombstones(t.Context(), time.Minute, id)
	if !errors.Is(err, cache.ErrUnavailable) {
		t.Error(err)
	}
	get(t, c, nil)
	peer.Up()
	peer.Inject(fault.Rule{Err: cachetest.ErrRefused}, cachetest.OpFill)
	if fill(t, peer, 2) {
		t.Error("a refused fill")
	}
	if n := len(c.Calls()); n != 5 {
		t.Errorf("%d calls of one connection", n)
	}
}
