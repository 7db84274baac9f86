// Package scsstore keeps the sessions of alexedwards/scs in Postgres under this
// library. The application keeps its SessionManager and its handlers, and
// changes three lines:
//
//	sessions := scsstore.New(manager.Store(), scsstore.Options{UserKey: "id"})
//	sessionManager.Store, sessionManager.Codec = sessions, sessions.Codec()
//	handler := sessions.Wrap(sessionManager.LoadAndSave)(mux)
//
// manager is a [github.com/reporadar/pgsession/sessionstore.Manager]. The
// package implements the interfaces of scs and does not import it.
//
// # What changes
//
//   - A request saves the values that it changed, and no others. Ten tabs that
//     set ten keys keep ten; with scs's own stores the last one wins.
//   - A session that has ended stays ended. A request that is slower than the
//     logout drops its changes. If it was one of a user, RenewToken does not
//     replace it: the commit fails with [store.ErrNotFound].
//   - With [Options.UserKey] a Manager lists and revokes the sessions of a
//     user.
//   - The table holds the hash of each token.
//
// # What to set
//
// scs decides when a session ends: Lifetime, IdleTimeout and SetDeadline work
// as before. With an IdleTimeout a session may live on for a tenth of it, at
// most a minute, so that not every request writes.
// The timeouts of the library's Config bound those of scs, so set IdleTimeout
// and AbsoluteTimeout of the Config to at least the Lifetime of scs.
//
// HashTokenInStore is not needed: the library hashes each token. Leave it off
// if it is off, since it changes the tokens that the store sees.
//
// # What does not change
//
// scs renews a token in two steps: it deletes the session, then creates one. A
// parallel request with the old token finds no session, as before. Recorded
// events show a logout and a login.
//
// The limits, the suspicion and the events of a Manager are those of its own
// requests.
//
// A user stays that of the row when the value of UserKey is removed: call
// Destroy to log out.
//
// Errors name keys and types, and hold no values.
package scsstore
