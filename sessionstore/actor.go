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
	// ReasonLogin: a [Session.Login] of another user in the same session. It
	// ends the login before it, in an EventLogout.
	ReasonLogin Reason = "login"
	// ReasonHandle: [Manager.Revoke] of one session.
	ReasonHandle Reason = "handle"
	// ReasonOthers: [Session.RevokeOthers].
	ReasonOthers Reason = "others"
	// ReasonUser: [Manager.RevokeUser].
	ReasonUser Reason = "user"
	// ReasonTag: [Manager.RevokeTag].
	ReasonTag Reason = "tag"
	// ReasonAll: [Manager.RevokeAll].
	ReasonAll Reason = "all"
	// ReasonBefore: [Manager.RevokeBefore].
	ReasonBefore Reason = "before"
	// ReasonLimit: the user's oldest sessions, after a login beyond
	// [LimitConfig.MaxSessionsPerUser].
	ReasonLimit Reason = "limit"
	// ReasonSuspicious: [SuspicionConfig.Action] or the [Judge].
	ReasonSuspicious Reason = "suspicious"
)

type actorKey struct{}

type actor struct{ name, note string }

// WithActor returns a context that names the actor of a revoke or a logout, and
// its reason, such as "password changed". They are [Event.Actor] and
// [Event.Detail], and in the log. Without a name, the actor is the user of the
// request's session, if it was loaded. Call WithActor for support staff and
// jobs, which act without a session.
func WithActor(ctx context.Context, name, note string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor{name, note})
}

// actorFrom returns the actor that WithActor set.
func actorFrom(ctx context.Context) actor {
	a, _ := ctx.Value(actorKey{}).(actor)
	return a
}
