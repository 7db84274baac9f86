package sessionstore_test

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// A Judge decides for each suspicion. A new browser requires a login. A desktop
// that changes its network within five minutes loses its session. Everything
// else gets the configured Action.
func ExampleJudge() {
	cfg := sessionstore.Config{
		Suspicion: sessionstore.SuspicionConfig{
			Action: sessionstore.ActionObserve,
			Judge: func(
				_ context.Context, s sessionstore.Suspicion,
			) sessionstore.SuspiciousAction {
				switch {
				case s.UserAgent:
					return sessionstore.ActionRequireLogin
				case s.Now.Sub(s.LastSeenAt) < 5*time.Minute &&
					sessionstore.DeviceOf(s.Is).Kind == sessionstore.Desktop:
					return sessionstore.ActionRevoke
				}
				return s.Action
			},
		},
	}
	_ = cfg // for Open or New
}
