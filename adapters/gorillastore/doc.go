// Package gorillastore keeps the sessions of gorilla/sessions in Postgres under
// this library. An application, a framework's package of sessions or goth gets
// a [Store] in place of the one that it has:
//
//	sessionStore := gorillastore.New(manager.Store(), key)
//
// manager is a [github.com/reporadar/pgsession/sessionstore.Manager]. It stays
// in charge of the timeouts, the prune and the end of the program.
//
// # What changes
//
//   - A request saves the values that it changed, and no others.
//   - A session that has ended stays ended: a save that comes later drops its
//     changes, and sets no cookie. If it was one of a user, a login of another
//     user in it fails with [store.ErrNotFound]; one of the same user is a
//     change like others, and is dropped.
//   - An empty [sessions.Session.ID] in a session that was loaded rotates its
//     token, which is what to do at a login. Other stores make a second row.
//   - With [Store.UserKey] a Manager lists and revokes the sessions of a user.
//   - The table holds the hash of each token.
//   - A cookie that can't be decoded, as after a change of the keys, is a new
//     session and no error.
//
// What a session was when it was loaded belongs to its [sessions.Session], also
// if it is saved with another [http.Request]. Pass the pointer on: a copy of
// the struct is a session of the application's own making.
//
// # What does not change
//
// The cookie is that of pgstore and redistore: the id, encoded by securecookie
// with the same keys. The values are encoded by gob, each by itself, so their
// types are registered as before.
//
// Options.MaxAge is the lifetime of a session from its last save, bounded by
// the timeouts of the library's Config. A negative one ends the session. With 0
// the cookie ends with the browser, and the timeouts of the Config count; other
// stores delete such a session, or don't.
//
// MaxLength of the stores in gorilla/sessions bounds the encoded values, since
// they are in the cookie or a file. It has no counterpart here: the table takes
// a megabyte, and the cookie has an id only.
//
// Errors name keys and types, and hold no values.
package gorillastore
