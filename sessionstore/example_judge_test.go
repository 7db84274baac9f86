package sessionstore_test

import (
	"context"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// An application's own judgement: who changes the browser must log in again, at once or not; who changes only the network
// within minutes loses the session; anything else is left at what the Config says.
func ExampleJudge() {
	cfg := sessionstore.Config{
		Suspicion: sessionstore.SuspicionConfig{Action: sessionstore.ActionObserve, Judge: func(_ context.Context, s sessionstore.Suspicion) sessionstore.SuspiciousAction {
			switch {
			case s.UserAgent:
				return sessionstore.ActionRequireLogin
			case s.Now.Sub(s.LastSeenAt) < 5*time.Minute && sessionstore.DeviceOf(s.Is).Kind == sessionstore.Desktop:
				return sessionstore.ActionRevoke
			}
			return s.Action
		}},
	}
	_ = cfg // for Open or New
}
