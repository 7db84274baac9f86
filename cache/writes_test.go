package cache

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// replyError is an error reply of Redis.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

const oom = replyError("OOM command not allowed when used memory > 'maxmemory'.")

func refusingWrites(t *testing.T, test func(w *writeState, p *patient, j *journal)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		p, j := &patient{err: oom, start: time.Now()}, &journal{}
		w := newWriteState(p.probe, j.logger())
		test(w, p, j)
		w.stop()
	})
}

func TestRefusedWritesAreLoggedOnce(t *testing.T) {
	refusingWrites(t, func(w *writeState, p *patient, j *journal) {
		w.record([]writeResult{
			{err: oom}, {stored: true}, {err: oom}, {err: oom}, {}, {err: errors.New("gone")},
		})
		if w.refusing.Load() || len(j.all()) > 0 {
			t.Fatalf("after two in a row: %s", j.all())
		}
		for range 100 {
			w.record([]writeResult{{err: oom}})
		}
		if !w.refusing.Load() || w.refused.Load() != 103 {
			t.Errorf("refusing %t, %d refused", w.refusing.Load(), w.refused.Load())
		}
		said := strings.Join(j.all(), "")
		if strings.Count(said, "\n") != 1 || !strings.Contains(said, "level=WARN") ||
			!strings.Contains(said, "(OOM)") || !strings.Contains(said, "maxmemory-policy") {
			t.Errorf("it says %s", said)
		}

		time.Sleep(time.Minute)
		p.mu.Lock()
		probes := len(p.asked)
		p.mu.Unlock()
		if !w.refusing.Load() || probes < 10 {
			t.Errorf("refusing %t after a minute with %d probes", w.refusing.Load(), probes)
		}
		p.heal(nil)
		time.Sleep(writeProbeEvery)
		synctest.Wait()
		if w.refusing.Load() {
			t.Error("it is not noticed that writes are taken again")
		}
		if said := strings.Join(j.all(), ""); strings.Count(said, "\n") != 2 ||
			!strings.Contains(said, "redis accepts writes again") {
			t.Errorf("it says %s", said)
		}
	})
}

// If Redis accepts some writes and refuses others, one line a minute is logged.
func TestSomeRefusedWritesAreLoggedEachMinute(t *testing.T) {
	refusingWrites(t, func(w *writeState, _ *patient, j *journal) {
		for range 600 {
			w.record([]writeResult{{err: oom}, {err: oom}, {err: oom}, {stored: true}})
			time.Sleep(time.Second)
		}
		if w.refusing.Load() {
			t.Error("refusing, and it takes writes")
		}
		if n := strings.Count(strings.Join(j.all(), ""), "refuses writes"); n > 10 {
			t.Errorf("%d lines in ten minutes", n)
		}
	})
}
