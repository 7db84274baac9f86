package chain_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// operation is one on a session, which is a register that dies once.
type operation struct {
	kind    string // save, load or revoke
	session int
	value   int64 // what a save writes
}

// outcome is what the call returned.
type outcome struct {
	alive   bool
	value   int64
	version int64
	cached  bool // the cache answered
}

type register struct {
	alive bool
	value int64
}

// session models a linearizable session for porcupine.
var session = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		of := map[int][]porcupine.Operation{}
		for _, op := range history {
			n := op.Input.(operation).session
			of[n] = append(of[n], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range of {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return register{alive: true} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(register), input.(operation), output.(outcome)
		if in.kind == "revoke" {
			return true, register{}
		}
		if out.alive != s.alive {
			return false, s
		}
		if in.kind == "save" && s.alive {
			return true, register{true, in.value}
		}
		return !s.alive || out.value == s.value, s
	},
}

// recorder records operations and their outcomes.
type recorder struct {
	t     *testing.T
	start time.Time
	ids   []store.ID
	slow  time.Duration // the pause between two operations of a client

	mu      sync.Mutex
	history []porcupine.Operation
}

// call runs an operation as client, with the minimum version of that client's
// cookie.
func (h *recorder) call(i *instance, client int, op operation,
	minVersion int64,
) (rec store.Record) {
	ctx, id := context.Background(), h.ids[op.session]
	began := time.Since(h.start)
	var err error
	switch op.kind {
	case "save":
		rec, err = i.Save(ctx, id, setting("r", op.value))
	case "load":
		rec, err = i.Load(ctx, id, minVersion)
	case "revoke":
		_, err = i.Delete(ctx, id)
	}
	ended := time.Since(h.start)
	if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
		h.t.Errorf("%s: %v", op.kind, err)
		return rec
	}
	if err == nil && op.kind == "load" && rec.Version < minVersion {
		h.t.Errorf("version %d for a client that has seen %d", rec.Version, minVersion)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.history = append(h.history, porcupine.Operation{
		ClientId: client, Input: op, Output: outcome{
			err == nil && op.kind != "revoke", number(rec, "r"), rec.Version, cached(rec),
		},
		Call: int64(began), Return: int64(ended),
	})
	return rec
}

// run lets clients work on sessions through several instances, and revokes each
// session once, in the second half.
func (h *recorder) run(instances []*instance, clients, each int) {
	for range cap(h.ids) {
		h.ids = append(h.ids, instances[0].create(h.t, "r", 0))
	}
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(client)))
			minVersions := make([]int64, len(h.ids))
			for n := range each {
				op := operation{
					kind: "load", session: random.IntN(len(h.ids)),
					value: int64(client*each + n + 1),
				}
				if random.IntN(4) == 0 {
					op.kind = "save"
				}
				if n == each*(2+client%2)/4 && client < len(h.ids) {
					op.kind, op.session = "revoke", client
				}
				rec := h.call(instances[random.IntN(len(instances))], client, op,
					minVersions[op.session])
				minVersions[op.session] = max(minVersions[op.session], rec.MinVersion)
				if h.slow > 0 {
					pause := time.NewTimer(h.slow)
					<-pause.C
				}
			}
		})
	}
	all.Wait()
}

// linearizable lets porcupine check everything that Postgres answered.
func linearizable(history []porcupine.Operation) bool {
	var answered []porcupine.Operation
	for _, op := range history {
		if !op.Output.(outcome).cached {
			answered = append(answered, op)
		}
	}
	return porcupine.CheckOperations(session, answered)
}

// age measures staleness: how long after an acknowledgement the last load began
// that did not see it. behind is for a later version, revoked for the end of a
// session. Versions are in the order in which Postgres committed them. The
// error reports an outcome that no order explains.
func age(history []porcupine.Operation) (behind, revoked time.Duration, err error) {
	type version struct {
		session int
		number  int64
	}
	saved, ended := map[version]porcupine.Operation{}, map[int]int64{}
	later := map[version]int64{} // when the first later version was acknowledged
	for _, op := range history {
		in, out := op.Input.(operation), op.Output.(outcome)
		switch {
		case in.kind == "save" && out.alive:
			saved[version{in.session, out.version}] = op
			for n := out.version - 1; n > 0; n-- {
				if at, ok := later[version{in.session, n}]; ok && at <= op.Return {
					break
				}
				later[version{in.session, n}] = op.Return
			}
		case in.kind == "revoke":
			ended[in.session] = op.Return
		}
	}
	for _, op := range history {
		in, out := op.Input.(operation), op.Output.(outcome)
		if in.kind != "load" || !out.alive {
			continue
		}
		was, ok := saved[version{in.session, out.version}]
		if out.version > 1 &&
			(!ok || was.Input.(operation).value != out.value || was.Call > op.Return) {
			err = errors.Join(err,
				fmt.Errorf(
					"a load gave version %d with the value %d, which was not saved as that, or not yet", out.version, out.value))
		}
		if at, ok := later[version{in.session, out.version}]; ok {
			behind = max(behind, time.Duration(op.Call-at))
		}
		if at, ok := ended[in.session]; ok {
			revoked = max(revoked, time.Duration(op.Call-at))
		}
	}
	return behind, revoked, err
}

// judge checks what was recorded so far, and starts a new record. bound limits
// the staleness of the cache.
func (h *recorder) judge(bound time.Duration) {
	h.t.Helper()
	if !linearizable(h.history) {
		h.t.Error("what Postgres answered is not linearizable")
	}
	behind, revoked, err := age(h.history)
	if err != nil {
		h.t.Error(err)
	}
	fromCache := 0
	for _, op := range h.history {
		if op.Output.(outcome).cached {
			fromCache++
		}
	}
	h.t.Logf("%d operations, %d of them answered by the cache; longest service of an older version %v, of a revoked session %v; the bound is %v",
		len(h.history), fromCache, behind, revoked, bound)
	if behind > bound || revoked > bound {
		h.t.Error("something was served that is older than the bound")
	}
	if fromCache == 0 && bound > 0 {
		h.t.Error("nothing was served from the cache: this test sees nothing")
	}
	h.history = nil
}

func newRecorder(t *testing.T, sessions int) *recorder {
	return &recorder{t: t, start: time.Now(), ids: make([]store.ID, 0, sessions)}
}

// Without a cache all instances together behave like one register.
//
// Slow: porcupine orders 1,800 operations, as with the cache in
// TestHistoriesWithTheCache.
func TestSlowHistoriesWithoutACache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	h := newRecorder(t, 6)
	h.run([]*instance{r.open(withoutRedis), r.open(withoutRedis), r.open(withoutRedis)}, 12, 150)
	h.judge(0)
}

// Redis is flushed, killed and cut off from one instance after the other. What
// Postgres answers stays linearizable, and what the cache answers is no older
// than the bound.
func TestHistoriesWithTheCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	instances := []*instance{r.open(), r.open(), r.open()}
	stop := torment(r, instances, 100*time.Millisecond)
	defer stop()
	h := newRecorder(t, 12)
	h.slow = 4 * time.Millisecond // so that the run is longer than the bound
	h.run(instances, 12, 500)
	h.judge(bound)
}

// torment flushes Redis, kills it and cuts it off from one instance after the
// other, until it is stopped.
func torment(r *rig, instances []*instance, pace time.Duration) (stop func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-ending:
				return
			default:
			}
			i := instances[n%len(instances)]
			switch n % 8 {
			case 0:
				i.toRedis.down() // Redis gets no tombstone from this instance
			case 3:
				_ = r.redis.Client.FlushAll(context.Background()).Err()
			case 5:
				for _, each := range instances {
					each.toRedis.heal()
				}
			case 7:
				r.redis.Kill()
				r.redis.Restart()
			}
			pause := time.NewTimer(pace) // the pace of the faults, and no wait for a condition
			<-pause.C
		}
	}()
	return sync.OnceFunc(func() { close(ending); <-ended })
}

// The judge finds every kind of fault in a made-up history.
func TestTheJudgeSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	op := func(kind string, version int64, alive, cached bool,
		call, back int64,
	) porcupine.Operation {
		value := 10 * (version - 1)
		return porcupine.Operation{
			Input:  operation{kind: kind, value: value},
			Output: outcome{alive, value, version, cached}, Call: call, Return: back,
		}
	}
	saved, dead := op("save", 2, true, false, 10, 20), op("revoke", 0, false, false, 10, 20)
	wrong := op("load", 2, true, true, 30, 40)
	wrong.Output = outcome{true, 99, 2, true}
	for name, test := range map[string]struct {
		history          []porcupine.Operation
		linear, possible bool
		behind, revoked  time.Duration
	}{
		"fine": {
			[]porcupine.Operation{saved, op("load", 2, true, false, 30, 40)}, true, true, 0, 0,
		},
		"at the same time": {
			[]porcupine.Operation{saved, op("load", 1, true, false, 15, 40)}, true, true, 0, 0,
		},
		"old": {
			[]porcupine.Operation{saved, op("load", 1, true, false, 30, 40)}, false, true, 10, 0,
		},
		"old, cached": {
			[]porcupine.Operation{saved, op("load", 1, true, true, 30, 40)}, true, true, 10, 0,
		},
		"dead": {
			[]porcupine.Operation{dead, op("load", 1, true, false, 35, 40)}, false, true, 0, 15,
		},
		"dead, cached": {
			[]porcupine.Operation{dead, op("load", 1, true, true, 35, 40)}, true, true, 0, 15,
		},
		"saved when dead": {
			[]porcupine.Operation{dead, op("save", 2, true, false, 30, 40)}, false, true, 0, 0,
		},
		"dead for nothing": {
			[]porcupine.Operation{op("load", 0, false, false, 30, 40)}, false, true, 0, 0,
		},
		"from nowhere": {
			[]porcupine.Operation{op("load", 7, true, true, 30, 40)}, true, false, 0, 0,
		},
		"from the future": {
			[]porcupine.Operation{op("load", 2, true, true, 1, 2), saved}, true, false, 0, 0,
		},
		"another value": {[]porcupine.Operation{saved, wrong}, true, false, 0, 0},
	} {
		behind, revoked, err := age(test.history)
		linear := linearizable(test.history)
		if linear != test.linear || (err == nil) != test.possible || behind != test.behind ||
			revoked != test.revoked {
			t.Errorf("%s: linearizable %v, %v behind, %v after the revoke, %v", name, linear,
				behind, revoked, err)
		}
	}
}
