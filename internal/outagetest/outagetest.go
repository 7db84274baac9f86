// Package outagetest has a process whose Postgres and cache can fail, for tests
// of package outage and of its callers. Its methods wait, so it needs a bubble
// of testing/synctest.
package outagetest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/memory"
	"github.com/reporadar/pgsession/internal/outage"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// Process is a process with an emergency store, a cache and a Postgres.
type Process struct {
	Chain
	Cache *cachetest.Cache

	// Link is the connection to Postgres, where replies are lost.
	Link     *fault.Store
	Postgres *fault.Store
	Rows     *memory.Store // what Postgres holds

	T      testing.TB
	policy coherence.Policy
	expiry store.Expiry
	relay  *relay
}

// New returns a process whose Postgres and cache are available.
func New(
	t testing.TB, policy coherence.Policy, expiry store.Expiry, options ...func(*outage.Options),
) *Process {
	p := &Process{T: t, policy: policy, expiry: expiry, Cache: cachetest.New(), relay: &relay{}}
	p.Rows = memory.New(expiry, memory.Options{})
	p.Postgres = fault.Wrap(p.Rows)
	p.Link = fault.Wrap(p.Postgres)
	p.Chain = Wire(p.Link, p.Cache, policy, expiry, p.relay, options...)
	return p
}

// Chain is an emergency store with its parts.
type Chain struct {
	*outage.Store
	Detector *outage.Detector
	Cached   *cached.Store // in front of Postgres, nil without a cache
}

// localBytes is the room of a local cache.
const localBytes = 1 << 20

// Wire makes an emergency store over any store in place of Postgres, with a
// cache in front unless that is nil. With a policy for local caches that is one
// of the process.
func Wire(
	postgres store.Store, c cached.Cache, policy coherence.Policy, expiry store.Expiry,
	events outage.Events, options ...func(*outage.Options),
) (chain Chain) {
	chain.Detector = outage.NewDetector(events)
	front := chain.Detector.Guard(postgres)
	o := outage.Options{Expiry: expiry, Timeout: time.Second}
	caching := cached.Options{
		Policy: policy, Expiry: expiry, Unavailable: chain.Detector.Unavailable,
	}
	switch {
	case policy.Local:
		chain.Cached = cached.NewLocal(front, localBytes, caching)
	case c != nil:
		chain.Cached = cached.New(front, c, caching)
	}
	if chain.Cached != nil {
		front, o.Cache = chain.Cached, chain.Cached
	}
	for _, option := range options {
		option(&o)
	}
	chain.Store = outage.New(chain.Detector, front, postgres, o)
	return chain
}

// Elsewhere returns another process, which always reaches Postgres.
func (p *Process) Elsewhere() *cached.Store {
	options := cached.Options{Policy: p.policy, Expiry: p.expiry}
	other := cached.New(p.Rows, p.Cache, options)
	if p.policy.Local {
		other = cached.NewLocal(p.Rows, localBytes, options)
	}
	p.T.Cleanup(other.Close)
	return other
}

// Relay passes the events of the outage on to another receiver, too.
func (p *Process) Relay(to outage.Events) {
	p.relay.mu.Lock()
	defer p.relay.mu.Unlock()
	p.relay.to = to
}

// Seen returns the events since it was last called: "began", "ended 3" with how
// many sessions were restored, "restore failed",
// "restore lost" and "login refused".
func (p *Process) Seen() string {
	p.relay.mu.Lock()
	defer p.relay.mu.Unlock()
	seen := strings.Join(p.relay.seen, ", ")
	p.relay.seen = nil
	return seen
}

// BeginOutage makes Postgres unavailable, and waits until the emergency begins.
func (p *Process) BeginOutage() {
	p.T.Helper()
	p.Postgres.Down()
	for range 3 {
		_, _ = p.Stats(p.T.Context(), false)
		time.Sleep(time.Second / 2)
	}
	_, _ = p.Stats(p.T.Context(), false)
	if !p.Detector.Unavailable() {
		p.T.Error("an outage began no emergency")
	}
	p.Postgres.Forget()
}

// EndOutage makes Postgres available again, and waits for the recovery.
func (p *Process) EndOutage() {
	p.T.Helper()
	p.Postgres.Up()
	time.Sleep(1100 * time.Millisecond)
	if !p.Detector.Since().IsZero() {
		p.T.Error("a recovery is not over")
	}
}

// End closes the store and what runs in front of Postgres.
func (p *Process) End() {
	p.T.Helper()
	if err := p.Close(); err != nil {
		p.T.Errorf("close: %v", err)
	}
	if p.Cached != nil {
		p.Cached.Close()
	}
}

// Make makes a session of ann's.
func (p *Process) Make(name string) store.Record {
	p.T.Helper()
	rec, err := p.Create(p.T.Context(), store.Draft{
		ID: ID(name), UserID: "ann", Data: json.RawMessage(`{"n":0}`),
		Client: store.Client{UserAgent: "browser"},
	})
	if err != nil {
		p.T.Fatalf("create %s: %v", name, err)
	}
	return rec
}

// MakeCached makes a session of Postgres that the cache has.
func (p *Process) MakeCached(name string) store.ID {
	p.T.Helper()
	id := p.Make(name).ID
	if got := p.Got(id); got != "alive" {
		p.T.Errorf("a session that was created is %s", got)
	}
	synctest.Wait()
	return id
}

// Got returns the Verdict of a load.
func (p *Process) Got(id store.ID) string {
	_, err := p.Load(p.T.Context(), id, 0)
	return Verdict(err)
}

// Row returns the Verdict of a load from Postgres.
func (p *Process) Row(id store.ID) string {
	_, err := p.Rows.Load(p.T.Context(), id, 0)
	return Verdict(err)
}

// Count returns how many sessions Postgres has, expired ones included.
func (p *Process) Count() int {
	stats, err := p.Rows.Stats(context.Background(), true)
	if err != nil {
		p.T.Error(err)
	}
	return int(stats.Total)
}

// ID returns the id of a name.
func ID(name string) store.ID { return sha256.Sum256([]byte(name)) }

// Verdict returns what an error means for a session: "alive", "not found" or
// "unavailable".
func Verdict(err error) string {
	switch {
	case err == nil:
		return "alive"
	case errors.Is(err, store.ErrNotFound):
		return "not found"
	case errors.Is(err, store.ErrUnavailable):
		return "unavailable"
	}
	return err.Error()
}

// relay records the events and passes them on.
type relay struct {
	mu   sync.Mutex
	seen []string
	to   outage.Events
}

func (r *relay) note(event string) outage.Events {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, event)
	return r.to
}

func (r *relay) EmergencyBegan(err error) {
	if to := r.note("began"); to != nil {
		to.EmergencyBegan(err)
	}
}

func (r *relay) EmergencyEnded(restored int) {
	if to := r.note(fmt.Sprint("ended ", restored)); to != nil {
		to.EmergencyEnded(restored)
	}
}

func (r *relay) RestoreFailed(err error) {
	if to := r.note("restore failed"); to != nil {
		to.RestoreFailed(err)
	}
}

func (r *relay) RestoreLost(rec *store.Record, err error) {
	if to := r.note("restore lost"); to != nil {
		to.RestoreLost(rec, err)
	}
}

func (r *relay) LoginRefused(rec *store.Record, err error) {
	if to := r.note("login refused"); to != nil {
		to.LoginRefused(rec, err)
	}
}
