package outage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/cachetest"
	"github.com/reporadar/pgsession/internal/coherence"
	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// promise is what was acknowledged to a user about one id.
type promise struct {
	id   store.ID
	made bool // there for sure
	// gone: ended for sure. Others may see it until then at the latest.
	gone  bool
	until time.Time
	// value is the last that was acknowledged, tried the last that was sent.
	value, tried int
	minVersion   int64
	next         *promise // what a Rotate without a reply may have made of it
}

// user makes random calls for its sessions, one after the other, and compares
// each result with what was promised before.
type user struct {
	t      *testing.T
	o      *outagetest.Process
	name   string
	policy coherence.Policy
	rng    *rand.Rand
	n      int
	live   []*promise
	ended  []*promise
	doubts []*promise // creates without a reply
	served map[string]int
}

func (u *user) id() store.ID {
	u.n++
	return idOf(fmt.Sprint(u.name, u.n))
}

func (u *user) step() {
	u.served[fmt.Sprint("mode ", u.o.Mode())]++
	if len(u.live) < 3 {
		u.create()
		return
	}
	i := u.rng.IntN(len(u.live))
	p := u.live[i]
	switch u.rng.IntN(20) {
	case 0:
		u.live = append(u.live[:i], u.live[i+1:]...)
		u.delete(p)
	case 1:
		u.live = append(u.live[:i], u.live[i+1:]...)
		u.rotate(p)
	case 2, 3, 4:
		u.save(p)
	case 5:
		_ = u.o.Touch(u.t.Context(), touchOf(p.id))
	case 6:
		if len(u.ended) > 0 {
			u.load(u.ended[u.rng.IntN(len(u.ended))])
		}
	case 7:
		u.again()
	default:
		u.load(p)
	}
}

func (u *user) create() {
	p := &promise{id: u.id()}
	u.send(p)
}

func (u *user) send(p *promise) {
	_, err := u.o.Create(u.t.Context(),
		store.Draft{ID: p.id, Data: json.RawMessage(`{"n":0,"whose":"` + u.name + `"}`)})
	switch {
	case err == nil:
		p.made = true
		u.live = append(u.live, p)
	case errors.Is(err, store.ErrOutcomeUnknown):
		u.doubts = append(u.doubts, p)
	}
}

// again repeats a Create without a reply, or ends its session.
func (u *user) again() {
	if len(u.doubts) == 0 {
		return
	}
	p := u.doubts[0]
	u.doubts = u.doubts[1:]
	if u.rng.IntN(2) == 0 {
		u.delete(p)
		return
	}
	u.served["created again"]++
	u.send(p)
	for _, same := range u.live {
		if same == p {
			// Postgres may have the first Create. So only its end is promised.
			u.live = u.live[:len(u.live)-1]
			if u.rng.IntN(2) == 0 {
				u.delete(p)
			} else {
				u.rotate(p)
			}
			return
		}
	}
}

func (u *user) save(p *promise) {
	p.tried++
	rec, err := u.o.Save(u.t.Context(), p.id, set("n", strconv.Itoa(p.tried)))
	switch {
	case err == nil:
		p.value = p.tried
		p.minVersion = max(p.minVersion, rec.MinVersion)
	case errors.Is(err, store.ErrNotFound):
		u.t.Errorf("%s: a session that was acknowledged is lost: save in mode %v", u.name,
			u.o.Mode())
	}
}

func (u *user) load(p *promise) {
	rec, err := u.o.Load(u.t.Context(), p.id, p.minVersion)
	u.check(p, rec, err, "a load in mode "+fmt.Sprint(u.o.Mode()))
}

func (u *user) check(p *promise, rec store.Record, err error, where string) {
	u.t.Helper()
	u.served[verdictOf(err)]++
	switch {
	case errors.Is(err, store.ErrNotFound) && p.made && !p.gone:
		u.t.Errorf("%s: a session that was acknowledged is lost: %s", u.name, where)
	case err == nil && p.gone && time.Now().After(p.until):
		u.t.Errorf("%s: a session that was ended is back: %s, %v after the promise", u.name, where,
			time.Since(p.until))
	case err == nil && !p.gone:
		var data struct {
			N     int    `json:"n"`
			Whose string `json:"whose"`
		}
		if err := json.Unmarshal(rec.Data, &data); err != nil || data.N < p.value ||
			data.N > p.tried || data.Whose != u.name {
			u.t.Errorf("%s: %s: %s, want n between %d and %d", u.name, where, rec.Data, p.value,
				p.tried)
		}
	}
}

// delete ends a session, here or at another instance if Postgres has it, and
// repeats that until it is acknowledged.
func (u *user) delete(p *promise) {
	for {
		from := store.Store(u.o)
		_, err := u.o.Memory().Load(u.t.Context(), p.id, 0)
		if here := err == nil; !here && u.rng.IntN(2) == 0 && u.o.Row(p.id) == "alive" {
			from = u.o.Elsewhere()
			u.served["ended elsewhere"]++
		}
		r, err := from.Delete(u.t.Context(), p.id)
		if err == nil {
			p.gone, p.until = true, time.Now().Add(r.MaxExposure)
			u.ended = append(u.ended, p)
			return
		}
		time.Sleep(time.Duration(u.rng.IntN(300)) * time.Millisecond)
	}
}

func (u *user) rotate(p *promise) {
	next := &promise{id: u.id(), value: p.value, tried: p.tried}
	_, err := u.o.Rotate(u.t.Context(), p.id, next.id, store.Change{})
	switch {
	case err == nil:
		next.made, p.gone, p.until = true, true, time.Now().Add(u.policy.Exposure())
		u.live, u.ended = append(u.live, next), append(u.ended, p)
	case errors.Is(err, store.ErrNotFound):
		u.t.Errorf("%s: a session that was acknowledged is lost: rotate in mode %v", u.name,
			u.o.Mode())
	case errors.Is(err, store.ErrOutcomeUnknown):
		p.made, p.next = false, next
		u.ended = append(u.ended, p)
	default:
		u.live = append(u.live, p)
	}
}

// settle compares the rows at the end with what was promised.
func (u *user) settle() {
	for _, p := range append(u.live, u.ended...) {
		rec, err := u.o.Rows.Load(u.t.Context(), p.id, 0)
		p.until = time.Time{}
		u.check(p, rec, err, "at the end, in Postgres")
		if p.next != nil && u.o.Row(p.id)+u.o.Row(p.next.id) != "alivenot found" &&
			u.o.Row(p.id)+u.o.Row(p.next.id) != "not foundalive" {
			u.t.Errorf("%s: rotated without an answer: the old is %s, the new is %s", u.name,
				u.o.Row(p.id), u.o.Row(p.next.id))
		}
	}
}

// trouble decides at random whether a call fails.
type trouble struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (d *trouble) strikes(percent int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(100) < percent
}

// TestEmergencyModel runs users over a Postgres with outages, random failures
// and lost replies, and a Redis with random failures. No session that was
// acknowledged is lost, and none that was ended is served again.
func TestEmergencyModel(t *testing.T) {
	for name, test := range map[string]struct {
		cycles               int
		up, down             time.Duration // of Postgres; 0 is at random
		fails, loses, caches int           // percent
		hangs                bool          // calls of a down Postgres time out
		ended, doubted       int           // limits; 0 for the usual ones
	}{
		"flapping":         {cycles: 200, up: 3 * time.Second, down: 3 * time.Second},
		"losing answers":   {cycles: 60, loses: 5},
		"failing":          {cycles: 60, fails: 5},
		"failing in Redis": {cycles: 60, caches: 30},
		"all of it":        {cycles: 100, fails: 2, loses: 2, caches: 10},
		"hardly ever there": {
			cycles: 60, up: 1200 * time.Millisecond, down: 5 * time.Second, loses: 20,
		},
		"hanging":      {cycles: 60, loses: 5, hangs: true},
		"forgetful":    {cycles: 60, loses: 10, ended: 2, doubted: 1_000_000},
		"doubting all": {cycles: 60, loses: 10, ended: 2, doubted: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seed := rand.Uint64()
				dice := &trouble{rng: rand.New(rand.NewPCG(seed, 0))}
				t.Logf("seed %d", seed)
				o := outagetest.New(t, halfMinute, weekly)
				var down, calm atomic.Bool
				o.Postgres.Inject(fault.Rule{Do: func(ctx context.Context, _ *fault.Call) error {
					time.Sleep(time.Millisecond)
					if down.Load() && test.hangs { // as the store of Postgres bounds each call
						hung, cancel := context.WithTimeout(ctx, time.Second)
						<-hung.Done()
						cancel()
					}
					if down.Load() || !calm.Load() && dice.strikes(test.fails) {
						return errDown
					}
					return ctx.Err()
				}})
				loses := func(_ context.Context, c *fault.Call) error {
					if c.Err == nil && !calm.Load() && dice.strikes(test.loses) {
						return errLost
					}
					return nil
				}
				o.Link.Inject(fault.Rule{When: fault.After, Do: loses},
					store.OpCreate, store.OpSave, store.OpRotate, store.OpDelete)
				o.Cache.Inject(fault.Rule{Do: func(context.Context, *fault.Call) error {
					if !calm.Load() && dice.strikes(test.caches) {
						return errors.New("no reply from redis")
					}
					return nil
				}}, cachetest.OpGet, cachetest.OpFill, cachetest.OpPutTombstones)
				if test.ended > 0 {
					o.LimitLocal(test.ended, test.doubted)
				}
				var done atomic.Bool
				var working sync.WaitGroup
				users := make([]*user, 4)
				for i := range users {
					u := &user{
						t: t, o: o, name: fmt.Sprint("user ", i), policy: halfMinute,
						rng: rand.New(rand.NewPCG(seed, uint64(i+1))), served: map[string]int{},
					}
					if test.caches == 0 {
						u.policy = coherence.Policy{} // the cache acknowledges: ended is ended
					}
					users[i] = u
					working.Go(func() {
						for !done.Load() {
							u.step()
							time.Sleep(time.Duration(u.rng.IntN(400)) * time.Millisecond)
						}
					})
				}
				random := rand.New(rand.NewPCG(seed, 99))
				phase := func(d time.Duration) {
					if d == 0 {
						d = time.Duration(random.IntN(6000)) * time.Millisecond
					}
					time.Sleep(d)
				}
				for range test.cycles {
					phase(test.up)
					down.Store(true)
					phase(test.down)
					down.Store(false)
				}
				calm.Store(true)
				done.Store(true)
				working.Wait()
				time.Sleep(3 * time.Second) // for the last recovery
				expect(t, "mode", o.Mode(), coherence.Normal)
				o.End()
				served := map[string]int{}
				for _, u := range users {
					u.settle()
					for what, n := range u.served {
						served[what] += n
					}
				}
				t.Log(served)
				for _, what := range []string{
					"mode 0", "mode 1", "alive", "not found", "unavailable",
				} {
					if served[what] < 10 {
						t.Errorf("%q came up %d times, too few for this test to say anything", what,
							served[what])
					}
				}
			})
		})
	}
}
