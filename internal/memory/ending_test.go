package memory

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestEndingsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		m := New(store.Expiry{Idle: time.Hour, Absolute: time.Hour}, Options{})
		idOf := func(n int) (id store.ID) {
			binary.BigEndian.PutUint32(id[:], uint32(n))
			return id
		}
		logout := func(n int) {
			_, created := m.Create(ctx, store.Draft{ID: idOf(n)})
			_, deleted := m.Delete(ctx, idOf(n))
			if err := errors.Join(created, deleted); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(n int, want bool) {
			t.Helper()
			if _, err := m.Load(ctx, idOf(n), 0); errors.Is(err, store.ErrEnded) != want {
				t.Errorf("session %d: %v", n, err)
			}
		}
		const more = 3
		for n := range maxEndings + more {
			logout(n)
		}
		if n := len(m.endings.byID); n != maxEndings {
			t.Errorf("%d endings, want %d", n, maxEndings)
		}
		for n, want := range map[int]bool{
			0: false, more - 1: false, more: true, maxEndings + more - 1: true,
		} {
			expect(n, want)
		}
		logout(more) // it has an ending, which stays
		if n := len(m.endings.byID); n != maxEndings {
			t.Errorf("%d endings, want %d", n, maxEndings)
		}

		time.Sleep(endingLifetime)
		expect(more, false)
		logout(-1)
		expect(-1, true)
	})
}
