package sessionstore_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Flush writes the touches that wait, and waits for those that are being
// written.
func TestFlushWritesTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newSite(t)
		cookie := site.newcomer()
		time.Sleep(time.Hour)
		site.visit(cookie, nothing)
		site.check(site.m.Flush(t.Context()))
		expect(t, "touches", len(site.store.of(store.OpTouch)), 1)

		time.Sleep(time.Hour)
		site.visit(cookie, nothing)
		held := site.store.hold(store.OpTouch)
		arrived(t, held)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		expect(t, "Flush during a write", errors.Is(site.m.Flush(ctx), context.DeadlineExceeded),
			true)
		done := make(chan error, 1)
		go func() { done <- site.m.Flush(t.Context()) }()
		synctest.Wait()
		expect(t, "Flush has returned", len(done), 0)
		held.Release()
		expect(t, "Flush", <-done, nil)
		site.check(site.m.Close())
	})
}
