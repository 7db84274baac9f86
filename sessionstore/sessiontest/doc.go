// Package sessiontest gives tests of handlers their sessions, without a
// database and without a word in the log:
//
//	sessions := sessiontest.New(t)
//	app := newApp(sessions.Manager) // wraps its router with Manager.Handler
//
//	r := sessions.Request(t, "POST", "/cart", nil,
//		sessiontest.User("ada"), sessiontest.Value(cart, items))
//	w := httptest.NewRecorder()
//	app.ServeHTTP(w, r)
//
//	after := sessions.After(t, r, w.Result())
//	left, err := cart.Get(after)
//
// The request has the real cookie of a session in memory, so it takes the way
// through the application that a browser's request does.
//
// With [sessionstore.Config.Bearer] it is the request of a program, with the
// session's token in its header:
//
//	sessions := sessiontest.New(t, func(c *sessionstore.Config) {
//		c.Bearer = true
//	})
//
// [Manager.Advance] lets time pass, for timeouts and for pages that ask for a
// recent login. In a bubble of [testing/synctest] the clock of the bubble moves
// the sessions too. Manager.Faults makes the store fail:
//
//	sessions.Faults.Down()             // every call fails
//	sessions.Faults.Down(store.OpSave) // every save fails
//	sessions.Faults.Up()
//
// Each [New] has sessions of its own, so tests may run in parallel, and so may
// the subtests of one: each call takes the testing.TB that it reports to.
package sessiontest
