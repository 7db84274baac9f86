package storetest

import (
	"slices"
	"testing"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Run tests every clause of the contract as a subtest. New and Age are
// required.
func Run(t *testing.T, subject Subject) {
	if subject.New == nil || subject.Age == nil {
		t.Fatal("storetest: Subject.New or Subject.Age is nil: set both")
	}
	run(t, subject,
		creating, saving, rotating, touching, expiring, living, owning, marking, pruning, racing,
		authenticating, stepping, pending, tagging, noting, carrying)
	if !subject.NoEndings {
		run(t, subject, ending)
	}
}

func run(t *testing.T, subject Subject, groups ...[]testCase) {
	for _, c := range slices.Concat(groups...) {
		t.Run(c.name, func(t *testing.T) {
			expiry := weekly
			if c.expiry != (store.Expiry{}) {
				expiry = c.expiry
			}
			store := subject.New(t, expiry)
			peer := store
			if subject.Peer != nil {
				peer = subject.Peer(t, store)
			}
			h := &harness{
				T: t, ctx: t.Context(), store: store, peer: peer, expiry: expiry, subject: subject,
			}
			defer func() {
				if t.Failed() {
					t.Logf("the contract: %s", c.why)
				}
			}()
			c.run(h)
		})
	}
}
