package sessionstore

import (
	"context"
)

// Reason is why sessions were ended.
type Reason int

// The reasons. The zero Reason is that of events that end nothing.
const (
	// ReasonLogout: by [Session.Logout].
	ReasonLogout Reason = iota + 1
	// ReasonHandle: one, by its handle, as from a list of devices: [Manager.Revoke].
	ReasonHandle
	// ReasonOthers: all others of the user: [Session.RevokeOthers].
	ReasonOthers
	// ReasonUser: all of the user: [Manager.RevokeUser].
	ReasonUser
	// ReasonAll: all of everybody: [Manager.RevokeAll].
	ReasonAll
	// ReasonLimit: the user's oldest, for a login beyond [Config.Limits.MaxSessionsPerUser].
	ReasonLimit
	// ReasonSuspicious: by [Config.Suspicion.Action] or the [Judge].
	ReasonSuspicious

	reasons int = iota + 1
)

var reasonNames = [reasons]string{"", "logout", "handle", "others", "user", "all", "limit", "suspicious"}

// String is the name of the reason in a word, as the log has it; empty for the zero Reason.
func (r Reason) String() string {
	if r < 0 || int(r) >= reasons {
		return "unknown reason"
	}
	return reasonNames[r]
}

type actorKey struct{}

type actor struct{ name, note string }

// WithActor names who acts with the context it returns and says in a few words why, such as "password changed": what ends sessions with it has
// them as its [Event.Actor] and [Event.Detail]. Without it, or with an empty name, the actor is the user of the request's
// session, where it was loaded. It is for support staff, jobs and whoever else acts without a session. The words get into the log.
func WithActor(ctx context.Context, name, note string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{name, note})
}

// actorFrom returns the actor set by WithActor.
func actorFrom(ctx context.Context) actor {
	a, _ := ctx.Value(actorKey{}).(actor)
	return a
}
