package store

import "context"

// Note is what the row of an event says beside what its call does. It changes
// nothing else about the call, and a Store that records no events ignores it.
type Note struct {
	// As is how the call is recorded. Its zero value suits all calls of a
	// request.
	As NoteAs
	// Reason is why sessions end; empty for a call that ends none.
	Reason string
	// Actor acts, and Detail is its note.
	Actor, Detail string
	// Client is where the request of the call came from. It is zero if that is
	// unknown, and for a revoke that no session of the user asked for.
	Client
	// Over is the login that the login of the call ends; zero for none. Its row
	// comes before that of the call.
	Over LoginOver
}

// LoginOver is the login of a user in a session in which another user logs in.
type LoginOver struct {
	Handle        Handle
	UserID        string
	LoginID       LoginID
	Reason, Actor string
}

// NoteAs is how a call is recorded.
type NoteAs uint8

const (
	// AsCall: by what the call does. A Delete is a logout.
	AsCall NoteAs = iota
	// AsRevoke: a Delete that is no logout.
	AsRevoke
	// AsRefusal: a Delete of a login that a revoke refuses.
	AsRefusal
	// AsRestore: a Rotate that restores a session of an emergency, with its
	// login.
	AsRestore
	// AsAdoption: a Create of a session of another library, with its login.
	AsAdoption
	// AsRepeat: a Revoke that repeats one with a row. It has a row of its own
	// if it ends a session.
	AsRepeat
	// AsNothing: the call is part of another one, and has no row.
	AsNothing
)

type noteKey struct{}

// WithNote returns a context whose calls have a note.
func WithNote(ctx context.Context, n Note) context.Context {
	return context.WithValue(ctx, noteKey{}, n)
}

// NoteOf returns the note of a context; the zero Note without one.
func NoteOf(ctx context.Context) Note {
	n, _ := ctx.Value(noteKey{}).(Note)
	return n
}
