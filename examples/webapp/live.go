package main

import (
	"context"
	"slices"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// watch gives a context that ends when the session has ended, here or on another device. It asks once a second for each
// open connection. A store that does not answer ends nothing.
func watch(ctx context.Context, sessions *sessionstore.Manager, s *sessionstore.Session) (context.Context, context.CancelFunc) {
	user, handle := s.UserID(), s.Handle()
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		again := time.NewTicker(time.Second)
		defer again.Stop()
		for {
			infos, err := sessions.List(ctx, user, sessionstore.Page{Max: 1000})
			if err == nil && !slices.ContainsFunc(infos, func(i sessionstore.Info) bool { return i.Handle == handle }) {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-again.C:
			}
		}
	}()
	return ctx, stop
}
