package chain_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/process"
	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A fill is on its way while its session is revoked. Redis has a tombstone, and
// refuses the fill.
func TestAFillThatIsLateIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := r.open(), r.open()
	id, release := heldFill(t, a)
	revoked, err := b.revoke(t, id)
	if err != nil || !revoked.Committed || revoked.MaxExposure != 0 {
		t.Fatalf("revoke: %+v, %v", revoked, err)
	}
	began := time.Now()
	release()
	if served := watch(t, b, id, began, bound); served > 0 {
		t.Errorf("served %v after a revoke that Redis knows of", served)
	}
	if value, err := r.redis.Client.Get(t.Context(), key(id)).Result(); err != nil ||
		value != "buried" {
		t.Errorf("the tombstone is gone: %v", err)
	}
}

// The worst case: Redis has lost the tombstone before the fill arrives. The
// cache then serves the session only while the read before the revoke is fresh.
func TestAFillThatIsLateAndATombstoneThatIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open()
	b.warm(t, b.create(t)) // so that it has Postgres's clock
	testkit.Eventually(t, "the revoked session is served", func() bool {
		id, release := heldFill(t, r.open())
		began := time.Now()
		if revoked, err := b.Delete(t.Context(), id); err != nil || !revoked.Committed {
			t.Fatalf("revoke: %+v, %v", revoked, err)
		}
		r.redis.Flush()
		release()
		if !filledSince(t, r, id, began) {
			return false
		}
		served := watch(t, b, id, began, bound)
		t.Logf("served for %v after the revoke began; the bound is %v", served, bound)
		if served > bound {
			t.Errorf("served for %v, more than %v", served, bound)
		}
		// Without a fill nothing is served: on a busy machine the read may be
		// too old.
		return served > 0
	})
}

// The same with a save in place of the revoke: Redis acknowledges it, loses it,
// and gets the older version back. The saver may read the older version while
// it is fresh.
func TestAFillThatIsLateAndASaveThatIsForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open()
	b.warm(t, b.create(t))
	testkit.Eventually(t, "the older version comes back", func() bool {
		id, release := heldFill(t, r.open())
		began := time.Now()
		saved, err := b.Save(t.Context(), id, setting("n", 1))
		if err != nil {
			t.Fatal(err)
		}
		r.redis.Flush()
		release()
		if !filledSince(t, r, id, began) {
			return false
		}
		var older time.Duration
		testkit.Eventually(t, "the save is seen", func() bool {
			asked := time.Since(began)
			rec, err := b.Load(t.Context(), id, saved.MinVersion)
			if err != nil {
				t.Fatal(err)
			}
			if rec.Version < saved.Version {
				older = asked
			}
			return rec.Version == saved.Version
		})
		t.Logf("the older version was served for %v after the save, to a client with minimum version %d; the bound is %v", older, saved.MinVersion, bound)
		if older > bound {
			t.Errorf("served for %v", older)
		}
		return true
	})
}

// filledSince waits for a fill for as long as one may come. On a busy machine
// none comes when the read is no longer fresh.
func filledSince(t *testing.T, r *rig, id store.ID, began time.Time) bool {
	t.Helper()
	for time.Since(began) < bound {
		if r.redis.Client.Exists(t.Context(), key(id)).Val() == 1 {
			return true
		}
	}
	return false
}

// A newer read replaces an entry that is no longer fresh, even if its version
// is the same.
func TestAStaleEntryMakesWay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open()
	id := i.create(t)
	i.warm(t, id)
	r.redis.Do("PEXPIRE", key(id), time.Hour.Milliseconds()) // so that it does not expire
	testkit.Eventually(t, "the entry is stale", func() bool {
		rec, err := i.Load(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		return !cached(rec)
	})
	i.warm(t, id)
}

// heldFill creates a session and an instance that has read it. The fill of that
// instance is held on its way to Redis.
func heldFill(t *testing.T, a *instance) (id store.ID, release func()) {
	t.Helper()
	id = a.create(t)
	held := a.toRedis.trap("hold", "upstream", "evalsha", "EVALSHA")
	held.left.Store(1)
	// No fill follows a Get that timed out.
	testkit.Eventually(t, "a fill is on its way", func() bool {
		if _, err := a.Load(t.Context(), id, 0); err != nil {
			t.Fatal(err)
		}
		return len(held.sprung) > 0
	})
	return id, func() { close(held.open) }
}

// The system stops a filler between its read and its fill. It continues when
// the session is revoked and Redis has lost the tombstone: within the
// freshness, and after it.
func TestAFillerThatIsStopped(t *testing.T) {
	t.Parallel()
	for name, sleeps := range map[string]bool{
		"for a moment": false, "for longer than the freshness": true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			b := r.open()
			b.warm(t, b.create(t))
			testkit.Eventually(t, "a filler goes on in time", func() bool {
				return stopFiller(t, r, b, sleeps)
			})
		})
	}
}

// stopFiller returns false if no fill could be stopped: on a busy machine the
// filler, or Redis, was too late.
func stopFiller(t *testing.T, r *rig, b *instance, sleeps bool) bool {
	t.Helper()
	id := b.create(t)
	f := newFiller(t, r)
	answer := f.toPostgres.trap("hold", "downstream", "alice") // the row
	answer.left.Store(1)
	f.load(id)
	<-answer.sprung // Postgres has answered, before the revoke
	f.signal(syscall.SIGSTOP)
	close(answer.open)

	began := time.Now()
	if revoked, err := b.Delete(t.Context(), id); err != nil || !revoked.Committed {
		t.Fatalf("revoke: %+v, %v", revoked, err)
	}
	r.redis.Flush()
	if sleeps {
		old := time.NewTimer(bound) // the test needs the bound to pass
		<-old.C
	}
	f.signal(syscall.SIGCONT)
	if said := f.said(); said != "alive" { // its read began before the revoke
		t.Errorf("the filler says %q", said)
	}
	filled := sleeps || filledSince(t, r, id, began)
	served := watch(t, b, id, began, bound)
	t.Logf("served for %v after the revoke began; the bound is %v", served, bound)
	if served > bound || sleeps && served > 0 {
		t.Errorf("served for %v", served)
	}
	f.done() // its fills have arrived
	if _, err := b.Load(t.Context(), id, 0); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("in the end: %v", err)
	}
	return filled
}

// filling is a process that loads the sessions whose ids it reads.
type filling struct {
	t          *testing.T
	process    *process.Process
	toPostgres *link
	in         io.WriteCloser
	out        *bufio.Scanner
}

const fillerCommand = "filler"

func newFiller(t *testing.T, r *rig) *filling {
	t.Helper()
	f := &filling{t: t, toPostgres: connect(t, host(t, r.database))}
	servers, err := json.Marshal([]string{f.toPostgres.via(r.database), r.redis.URL})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], fillerCommand)
	cmd.Env = append(os.Environ(), "CHAIN_SERVERS="+string(servers))
	cmd.Stderr = os.Stderr
	if f.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	// Not a StdoutPipe: the end of the process would close it, read or not.
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	cmd.Stdout, f.out = stdout, bufio.NewScanner(out)
	f.process, err = process.Start(cmd, process.Kin{Orphaned: syscall.SIGKILL})
	_ = stdout.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.process.Stop(testkit.Patience, syscall.SIGCONT, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	})
	if said := f.said(); said != "ready" {
		t.Fatalf("the filler says %q", said)
	}
	return f
}

// load makes the process load a session.
func (f *filling) load(id store.ID) {
	f.t.Helper()
	if _, err := fmt.Fprintln(f.in, hex.EncodeToString(id[:])); err != nil {
		f.t.Fatal(err)
	}
}

func (f *filling) said() string {
	f.out.Scan()
	return f.out.Text()
}

// done ends the process.
func (f *filling) done() {
	f.t.Helper()
	if err := f.in.Close(); err != nil {
		f.t.Error(err)
	}
	if said := f.said(); said != "closed" {
		f.t.Errorf("the filler says %q", said)
	}
}

func (f *filling) signal(sig syscall.Signal) {
	f.t.Helper()
	if err := f.process.Signal(sig); err != nil {
		f.t.Fatal(err)
	}
}

// filler is the program of that process.
func filler() {
	var servers [2]string
	err := json.Unmarshal([]byte(os.Getenv("CHAIN_SERVERS")), &servers)
	cfg := settings(servers[0], servers[1])
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	m, oerr := sessionstore.Open(context.Background(), cfg)
	if err = errors.Join(err, oerr); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var id store.ID
		if _, err := hex.Decode(id[:], in.Bytes()); err != nil {
			fmt.Println(err)
			continue
		}
		if _, err := m.Store().Load(context.Background(), id, 0); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("alive")
	}
	_ = m.Close()
	fmt.Println("closed")
}
