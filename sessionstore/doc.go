// Package sessionstore gives HTTP handlers sessions that are stored in
// Postgres.
//
//	sessions, err := sessionstore.Open(ctx, cfg) // or New, on your own pool
//	go sessions.Run(ctx)                         // prunes until ctx ends
//	http.ListenAndServe(addr, sessions.Handler(mux))
//
//	var cart = sessionstore.NewKey[[]Item]("cart") // once, at package level
//
//	mux.Handle("POST /cart", sessionstore.HandlerFunc(add))
//
//	func add(w http.ResponseWriter, r *http.Request, s *Session) error {
//		items, err := cart.Get(s)
//		if err != nil {
//			return err // answered with an error
//		}
//		return cart.Set(s, append(items, item)) // saved with the response
//	}
//
// # Sessions
//
// A browser holds a signed cookie with a random token of 256 bits. Postgres
// holds a row under the token's SHA-256, from which the token can't be
// computed.
//
// A [HandlerFunc] gets the session of its request, and [FromContext] gets it
// anywhere else. The first of them loads it. What the handler changes is saved
// just before the first byte of the response; what it changes later is saved
// when it returns. A visitor who stores nothing has no row and no cookie.
// [Session.Login] gives the session a new token, and [Session.Logout] deletes
// its row. [RequireLogin] guards pages that are for users only.
//
// # Expiry
//
// A session ends [Config.IdleTimeout] after its last use, or
// [Config.AbsoluteTimeout] after its creation or login, whichever comes first.
// Each load checks both by the clock of Postgres; pruning only frees space.
//
// A use is written at most once a minute for each session, after the response
// and together with those of other sessions. The deadline moves in steps of at
// most an hour, which can only make a session last longer.
//
// # Concurrency
//
// A save sends only what changed, and Postgres merges it. So two requests can
// change different keys of one session at the same time. If they change the
// same key, the later save wins. If both Pop one value, both may get it.
//
// A row is inserted for a new session only, or in exchange for a live one. If a
// session is logged out while a request changes it, the request does not bring
// it back: its changes are lost, and an [EventChangeLost] reports that.
//
// # Factors
//
// A login names its methods and their level: [AuthenticatedBy]. [RequireAuth]
// asks for a level within a time, and [Session.StepUp] adds a method to a
// login. [Session.BeginLogin] and [Session.CompleteLogin] take two factors in
// two requests: in between the session has no user.
//
// # Programs
//
// A Manager with [Config.Bearer] serves programs: the token is in the header
// Authorization of a request, and a new one in the header Session-Token of the
// response. Browsers have a Manager of their own, beside it and over the same
// table. [Manager.Issue] begins a session outside of a request.
//
// # Sessions of a user
//
// [Manager.List] returns a user's sessions, each with a public [Handle].
// [Manager.Revoke], [Session.RevokeOthers], [Manager.RevokeUser] and
// [Manager.RevokeAll] end sessions, and [Manager.WithTx] does so inside a
// transaction of the application. A login that is under way during such a
// revoke fails with [ErrRevoked], but for one by handle. [RequireFresh]
// requires a recent login. [Session.Watch] ends streams together with their
// session.
//
// A session that is used from another family of browser or system, or from
// another network, is an [EventSuspicious]. [Config.Suspicion] can make it
// require a login, or end the session. Ordinary changes are not suspicious: an
// update of the browser or system, another address of the same network (/16 of
// IPv4, /48 of IPv6), a change between IPv4 and IPv6. A phone or tablet that
// changes its network is only observed, unless a [Judge] decides otherwise.
// False alarms remain: a laptop in another network, a VPN, a phone that
// requests the desktop's page.
//
// # Events
//
// The [Observer] receives an event for what happens to sessions. By default
// [LogEvents] makes each event a line of the log. Events are delivered in
// order, beside the requests, and delay none of them.
//
// # Failure
//
// If Postgres is unavailable, [FromContext] returns [ErrUnavailable]. If it
// becomes unavailable before the save, the client gets 503 in place of the
// handler's response. The browser keeps its cookie: an outage ends no session.
//
// An outage of more than a second begins an emergency, unless
// [OutageConfig.DisableEmergency] is set. New sessions then live in the memory
// of this process, and logouts go to a journal. Once a second the process
// checks whether Postgres is available again. If it is, the process first
// replays the journal, and then restores the new sessions to Postgres with
// their tokens. A process that dies in an emergency loses its sessions and its
// journal.
//
// A value that does not decode is an error for its key alone. A request with a
// forged or damaged cookie is anonymous. It costs no query, and [Manager.Count]
// counts it.
//
// # The cache
//
// With [CacheConfig.UseRedis], a load asks Redis before Postgres. Each entry is
// sealed with AES-256-GCM under a key of its session. It has the time at which
// it was read from Postgres, and is served for [CacheConfig.Freshness] after
// that time. A revoke deletes the row and then puts a tombstone into the cache.
//
// If a revoke returns Committed, no instance serves the session for a load that
// starts later than [Revocation].MaxExposure. The Manager that revoked does not
// serve it from then on. No request fails because of Redis.
//
// With [CacheConfig.LocalFreshness], the cache is in the memory of this process
// instead. A session in use then costs no request a query: the process reads it
// again, together with others, before it is stale. A revoke counts at once in
// this Manager, and in others after MaxExposure at the latest. A response that
// has saved values sets a cookie of one second or more, by which other
// processes ask Postgres.
//
// # Key rotation
//
// The first of [Config.Secrets] signs cookies, and all of them verify. Add a
// new secret behind the old one on every instance, and only then put it first:
// an instance without it treats its cookies as forged. A session in use gets a
// cookie of the first secret at its next navigation.
//
// # Compatibility
//
// cmd/migrate and the package db make the schema; this package runs no DDL.
// [Open] checks the schema and returns an error that names what is missing.
// Migrations only add, so the previous version of the library works on the
// newer schema. The cookie's format has a version.
package sessionstore
