// Package fault wraps a [store.Store] with one that fails on purpose. With it a
// test shows what an application does while sessions can't be loaded or saved:
//
//	sessions := fault.Wrap(sessionstore.NewMemory(expiry, 0))
//	m, err := sessionstore.NewWithStore(sessions, cfg)
//	…
//	sessions.Down()             // every call fails: store.ErrOutage
//	sessions.Down(store.OpSave) // every save fails
//	sessions.Up()               // no call fails
//
// [Injector.Inject] takes a [Rule] for other failures: another error, the third
// call only, a lost reply, a call that hangs until it is released. It returns a
// [Fault], which waits for such a call and releases it:
//
//	hung := sessions.Inject(fault.Rule{When: fault.Hang}, store.OpSave)
//	go visit()
//	hung.Wait(ctx) // until a save hangs
//	…
//	hung.Release() // the save continues
//
// [Injector.Calls] returns the calls so far, for tests of the cost of a
// request.
//
// The package never sleeps, and it runs in a bubble of testing/synctest.
package fault
