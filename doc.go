// Package pgsession keeps HTTP sessions for Go in Postgres. The root package
// has no code: an application imports sessionstore.
//
// # Packages
//
//   - [github.com/reporadar/pgsession/sessionstore] is what an application
//     imports: middleware, sessions, typed keys, login, logout, the sessions of
//     a user.
//   - [github.com/reporadar/pgsession/sessionstore/storetest] checks a store of
//     your own against the contract.
//   - [github.com/reporadar/pgsession/cache] keeps sealed sessions in Redis, in
//     front of Postgres. sessionstore uses it when Config asks for it.
//   - [github.com/reporadar/pgsession/db] makes and checks the schema.
//   - [github.com/reporadar/pgsession/cmd/migrate] is db as a command.
//   - [github.com/reporadar/pgsession/otelsession] gives metrics and traces to
//     OpenTelemetry. It is a module of its own.
//
// # First steps
//
// Make the schema, once per deploy, with DATABASE_URL set:
//
//	go get -tool github.com/reporadar/pgsession/cmd/migrate@latest
//	go tool migrate up
//
// Then put the middleware around the handlers of the program:
//
//	cfg, err := sessionstore.ConfigFromEnv() // DATABASE_URL, SESSION_SECRET
//	if err != nil {
//		log.Fatal(err)
//	}
//	sessions, err := sessionstore.Open(context.Background(), cfg)
//	if err != nil {
//		log.Fatal(err)
//	}
//	go sessions.Run(context.Background()) // prunes expired sessions
//	log.Fatal(http.ListenAndServe(addr, sessions.Handler(mux)))
//
// [github.com/reporadar/pgsession/examples/hello] is a whole program, and
// [github.com/reporadar/pgsession/examples/webapp] a web application with login
// and a list of devices.
//
// # Documents
//
// docs/README.md lists all pages by reader, SECURITY.md has the promises and
// ARCHITECTURE.md the design: https://github.com/reporadar/pgsession
package pgsession
