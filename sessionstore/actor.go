package sessionstore

import (
	"context"
)

// Reason is why sessions ended.
type Reason int

// The reasons. The zero Reason is that of events that end nothing.
const (
	// ReasonLogout: [Session.Logout].
	ReasonLogout Reason = iota + 1
	// ReasonHandle: [Manager.Revoke] of one session.
	ReasonHandle
	// ReasonOthers: [Session.RevokeOthers].
	ReasonOthers
	// ReasonUser: [Manager.RevokeUser].
	ReasonUser
	// ReasonAll: [Manager.RevokeAll].
	ReasonAll
	// ReasonLimit: the user's oldest sessions, after a login beyond
	// [LimitConfig.MaxSessionsPerUser].
	ReasonLimit
	// ReasonSuspicious: [SuspicionConfig.Action] or the [Judge].
	ReasonSuspicious

	reasons int = iota + 1
)

var reasonNames = [reasons]string{
	"", "logout", "handle", "others", "user", "all", "limit", "suspicious",
}

// String returns the name of the reason, as in the log. It is empty for the
// zero Reason.
func (r Reason) String() string {
	if r < 0 || int(r) >= reasons {
		return "unknown reason"
	}
	return reasonNames[r]
}

type actorKey struct{}

type actor struct{ name, note string }

// WithActor returns a context in which the named actor ends sessions, for the
// reason in note, such as "password changed". Events have them as [Event.Actor]
// and [Event.Detail], and the log has them. Without it, or with an empty name,
// the actor is the user of the request's session, if it was loaded. Call it for
// support staff and jobs, which act without a session.
func WithActor(ctx context.Context, name, note string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{name, note})
}

// actorFrom returns the actor that WithActor set.
func actorFrom(ctx context.Context) actor {
	a, _ := ctx.Value(actorKey{}).(actor)
	return a
}
