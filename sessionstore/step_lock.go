package sessionstore

import (
	"context"
	"sync"
)

// stepLock is a lock that is held over I/O. Unlike that of a sync.Mutex, a wait
// for it can have a bound. The zero value is unlocked.
type stepLock struct {
	mu    sync.Mutex
	held  bool
	freed chan struct{} // closed by Unlock; nil if nothing waits
}

// LockUntil locks it, or returns the error of ctx. If it is free, ctx does not
// matter.
func (l *stepLock) LockUntil(ctx context.Context) error {
	l.mu.Lock()
	for l.held {
		if l.freed == nil {
			l.freed = make(chan struct{})
		}
		freed := l.freed
		l.mu.Unlock()
		select {
		case <-freed:
			l.mu.Lock()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.held = true
	l.mu.Unlock()
	return nil
}

// Lock locks it, however long that takes.
func (l *stepLock) Lock() { _ = l.LockUntil(context.Background()) }

func (l *stepLock) Unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = false
	if l.freed != nil {
		close(l.freed)
		l.freed = nil
	}
}
