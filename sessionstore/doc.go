// Package sessionstore gives HTTP handlers sessions that live in Postgres.
//
//	sessions, err := sessionstore.Open(ctx, cfg)   // or New, with a pool of your own
//	go sessions.Run(ctx)                           // prunes expired sessions until ctx ends
//	http.ListenAndServe(addr, sessions.Handler(mux))
//
//	var cart = sessionstore.NewKey[[]Item]("cart") // once, at package level
//
//	func add(w http.ResponseWriter, r *http.Request) {
//		s, err := sessionstore.FromContext(r.Context())
//		if err != nil { // the store is away: http.StatusServiceUnavailable
//		}
//		items, err := cart.Get(s)
//		err = cart.Set(s, append(items, item))
//	}
//
// # Sessions
//
// A browser holds a signed cookie with a random token of 256 bits; the database
// holds a row under the token's SHA-256. Neither can be made from the other. A
// request's session is loaded when [FromContext] is first called, and what the
// handler changed is saved just before the first byte of the response; what it
// changes later, when it returns. A visitor who stores nothing has no row and
// no cookie. [Session.Login] changes the token, [Session.Logout] deletes the
// row.
//
// # Expiry
//
// A session ends [Config.IdleTimeout] after its last use and [Config.AbsoluteTimeout] after its creation or login, whichever
// comes first. Both are checked at every load, by the database's clock; pruning only frees space. A use is written
// down at most once a minute per session, together with those of other sessions and after the response; the
// deadline moves in steps of at most an hour, to the session's favour.
//
// # Concurrency
//
// Requests that change different keys of one session at the same time both win: a save sends only what changed and
// the database merges it. Only creating a session inserts a row, so no slow request can bring back a session
// that was logged out meanwhile: its changes are void, and [EventChangeLost] says so. Two requests that change the
// same key: the later save wins. Two that Pop the same value at once may both get it.
//
// # Whose session it is
//
// [Manager.List] shows a user's sessions, each with a public [Handle];
// [Manager.Revoke], [Session.RevokeOthers], [Manager.RevokeUser] and
// [Manager.RevokeAll] end them, also the logins that are under way
// ([ErrRevoked]), [Manager.WithTx] does so inside a transaction of the application.
// [RequireFresh] asks for a recent login, [Session.Watch] ends streams together
// with their session.
//
// A session that is used from another family of browser or system, or from another network, is an [EventSuspicious], and more if
// [Config.Suspicion.Action] or [Config.Suspicion.Judge] says so. What happens every day is none: an update of the browser or the system,
// another address of the same provider (/16 of IPv4, /48 of IPv6), a change between IPv4 and IPv6, which can't be compared. A phone or
// tablet that leaves the house is told of and never acted upon, but by a Judge. False alarms that are left: a laptop that is
// carried to another network, a VPN that is turned on, a phone that asks for the desktop's page.
//
// # Events
//
// The [Observer] receives an event for what happens to sessions. By default each is a line of the log, with the reason and the actor if a session ended.
// Events are delivered beside the requests, in order, and delay none of them.
//
// # Failure
//
// When Postgres can't be reached, FromContext returns [ErrUnavailable]; when it goes away before the save, the client
// gets 503 in place of the handler's response. The cookie stays as it is either way: an outage ends no session.
// After a second of it an emergency begins, unless [Config.Outage.DisableEmergency] is set: sessions that begin now live in this
// process's memory, a logout is written down, and Postgres is asked once a second whether it is back. When it is, it is
// told of the logouts before anything is served from it, and then the sessions move there, with their tokens. What
// a process holds is lost when it dies in an emergency.
// A value that does not decode is an error for its key alone. A cookie that is forged, cut or doubled makes an
// anonymous request, counted by [Manager.Count] and answered without a query.
//
// # The cache
//
// With [Config.Cache.UseRedis] sessions are looked for in Redis first. An entry is sealed (AES-256-GCM, a key for each session),
// carries the time of Postgres at which it was read, and counts for [Config.Cache.Freshness] after that, by a clock
// that is kept from Postgres's own answers. A revoke deletes the row, and then a tombstone takes the entry's place.
//
// After a revoke has returned with Committed, no instance serves the session
// for a load that starts later than [Revocation.MaxExposure]. This process
// serves it from then on no more. Nothing fails when Redis does.
//
// # Key rotation
//
// The first of [Config.Secrets] signs, all of them verify, and a cookie names its key. A session in use gets a
// cookie signed by the first key at its next request. A new secret goes behind the old one on every instance before it
// goes in front: an instance that does not know it takes its cookies for forged.
//
// # Compatibility
//
// The table is made by the migrations of package db, which cmd/migrate runs; this package runs no DDL, and [Open]
// refuses a schema that lacks something, naming it. Migrations only add: the previous version of the library works
// on the newer schema. The cookie's format has a version in it.
package sessionstore
