package sessionstore

import (
	"context"
)

// Reason says why sessions ended. It is empty for an event that ends none.
type Reason string

// The reasons, with their names in the log.
const (
	// ReasonLogout: [Session.Logout].
	ReasonLogout Reason = "logout"
	// ReasonHandle: [Manager.Revoke] of one session.
	ReasonHandle Reason = "handle"
	// ReasonOthers: [Session.RevokeOthers].
	ReasonOthers Reason = "others"
	// ReasonUser: [Manager.RevokeUser].
	ReasonUser Reason = "user"
	// ReasonAll: [Manager.RevokeAll].
	ReasonAll Reason = "all"
	// ReasonLimit: the user's oldest sessions, after a login beyond
	// [LimitConfig.MaxSessionsPerUser].
	ReasonLimit Reason = "limit"
	// ReasonSuspicious: [SuspicionConfig.Action] or the [Judge].
	ReasonSuspicious Reason = "suspicious"
)

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
