package postgres

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceIsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		var due atomic.Int64
		for range 3 {
			for range 5 { // within half a second
				var all sync.WaitGroup
				for range 10 {
					all.Go(func() {
						if p.due(time.Now()) {
							due.Add(1)
						}
					})
				}
				all.Wait()
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(500 * time.Millisecond)
		}
		if n := due.Load(); n != 3 {
			t.Errorf("due %d times in 3 seconds", n)
		}
	})
}
