package storetest

import (
	"fmt"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// noting are the cases of calls with a [store.Note]. What a store records is
// its own: only Postgres has events to read.
var noting = []testCase{
	{
		name: "a note changes nothing else about a call",
		why:  "a Store that records no events ignores it",
		run: func(h *harness) {
			plain := h.ctx
			for _, as := range []store.NoteAs{
				store.AsCall, store.AsRevoke, store.AsRefusal, store.AsRestore, store.AsRepeat,
				store.AsNothing,
			} {
				h.ctx = store.WithNote(plain, store.Note{
					As: as, Reason: "user", Actor: "root", Detail: "on the phone",
				})
				what := fmt.Sprintf("as %d: ", as)
				user := fmt.Sprintf("ada %d", as)
				rec := h.create(user, "k", 1)
				h.equal(what+"user", rec.UserID, user)
				old := rec.ID
				rec = h.rotate(old, set("n", 2))
				h.ended(old)
				rec = h.save(rec.ID, set("n", 3))
				h.data(rec, "k", 1, "n", 3)
				other, spared := h.create(user), h.create(user)
				h.delete(rec.ID)
				h.ended(rec.ID)
				h.revokeEnds(store.Selection{UserID: user, Except: spared.ID}, other.ID)
				h.load(spared.ID)
			}
		},
	},
}
