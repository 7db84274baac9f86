package chain_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var write = flag.Bool("write", false, "write docs/design/exposure.md instead of comparing with it")

// exposures holds what the test saw after revokes of one kind.
type exposures struct {
	promised time.Duration // the longest MaxExposure
	// seen is how long after each revoke the last load began that found the
	// session; 0 for none.
	seen []time.Duration
}

func (e *exposures) add(revoked sessionstore.Revocation, seen time.Duration) {
	e.promised = max(e.promised, revoked.MaxExposure)
	e.seen = append(e.seen, seen)
}

// served returns how many sessions were served after their revoke, and for how
// long at most.
func (e *exposures) served() (n int, longest time.Duration) {
	for _, d := range e.seen {
		if d > 0 {
			n++
		}
		longest = max(longest, d)
	}
	return n, longest
}

// Redis is flushed, killed and cut off from one instance after the other, while
// sessions end that all instances serve from it. The output,
// docs/design/exposure.md, shows how long a session is served after its revoke,
// beside MaxExposure.
//
// Slow: it measures. 192 sessions are each watched for longer than the bound.
func TestSlowTheLongestServiceAfterARevoke(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	instances := []*instance{r.open(), r.open(), r.open()}
	stop := torment(r, instances, 400*time.Millisecond)
	defer stop()
	var (
		mu             sync.Mutex
		acked, unacked exposures
		all            sync.WaitGroup
		clients, each  = 16, 12
	)
	for client := range clients {
		all.Go(func() {
			for n := range each {
				n += client
				id, ok := loadedByAll(t, instances, n)
				if !ok {
					return
				}
				revoked, seen := exposure(t, instances, n/3, id)
				mu.Lock()
				if revoked.CacheAcked {
					acked.add(revoked, seen)
				} else {
					unacked.add(revoked, seen)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	stop()
	for _, i := range instances {
		i.toRedis.heal()
	}
	// On a busy machine Redis may be too late for each load so far.
	testkit.Eventually(t, "a session is served after its revoke", func() bool {
		id := instances[0].create(t)
		for _, i := range instances {
			i.warm(t, id)
		}
		instances[0].toRedis.down()
		defer instances[0].toRedis.heal()
		revoked, seen := exposure(t, instances, 0, id)
		if revoked.CacheAcked {
			t.Fatal("Redis was cut off, and acknowledged a tombstone")
		}
		unacked.add(revoked, seen)
		return seen > 0
	})
	text := report(acked, unacked)
	t.Log("\n" + text)
	for _, e := range []exposures{acked, unacked} {
		if _, longest := e.served(); longest > bound {
			t.Errorf("served for %v after a revoke, more than %v", longest, bound)
		}
	}
	path := filepath.Join("..", "..", "docs", "design", "exposure.md")
	if *write {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if blank(string(was)) != blank(text) {
		t.Errorf("%s is not what this test writes: make it again with -write", path)
	}
}

// loadedByAll creates a session, and lets all instances load it twice: the
// second time from the cache, if that answers.
func loadedByAll(t *testing.T, instances []*instance, n int) (id store.ID, ok bool) {
	ctx, id := context.Background(), testkit.NewID()
	if _, err := instances[n%3].Create(ctx, store.Draft{ID: id, UserID: "alice"}); err != nil {
		t.Error(err)
		return id, false
	}
	for range 2 {
		for _, i := range instances {
			if _, err := i.Load(ctx, id, 0); err != nil {
				t.Error(err)
			}
		}
	}
	return id, true
}

// exposure ends a session at one of the instances, and lets all of them load it
// for longer than the bound. seen is the time from the return of the revoke to
// the start of the last load that found the session.
func exposure(t *testing.T, instances []*instance, revoker int, id store.ID,
) (revoked sessionstore.Revocation, seen time.Duration) {
	ctx := context.Background()
	revoked, err := instances[revoker%3].Delete(ctx, id)
	since := time.Now()
	if err != nil || !revoked.Committed {
		t.Errorf("revoke: %+v, %v", revoked, err)
	}
	for time.Since(since) < bound+time.Second/4 {
		for _, i := range instances {
			began := time.Since(since)
			switch _, err := i.Load(ctx, id, 0); {
			case err == nil:
				seen = max(seen, began)
			case !errors.Is(err, sessionstore.ErrNotFound):
				t.Errorf("load: %v", err)
			}
		}
		pause := time.NewTimer(5 * time.Millisecond) // between two loads
		<-pause.C
	}
	return revoked, seen
}

const exposureText = `# How long a session is served after a revoke

Three instances have the cache, with a freshness of %v.
Every 400 ms Redis fails or recovers: it is unreachable for one instance, or flushed, or killed and started again.
Meanwhile 16 clients end sessions that all three instances have just loaded.
All three load each of these every few milliseconds until the bound has passed.
Then one instance is cut off from Redis and ends sessions, until another one has served one of them.
The time is from the return of the revoke to the start of the last load that found the session.
The bound is the freshness and a quarter of a second.

%s

If Redis acknowledges a tombstone and loses it, as this one may when it is flushed or killed, a late reader can put the session back.
The bound holds then, too: see [internal/coherence](../../internal/coherence/doc.go).
The figures are those of one run; every run of the tests checks the bound.
To make this page again, in the repository's folder:
` + "`make bin/provide && bin/provide -test -- go -C integration test ./chain -run TestSlowTheLongestServiceAfterARevoke -write`" + `
`

// report returns the document.
func report(acked, unacked exposures) string {
	lines := []string{
		"| Redis | revokes | sessions served afterwards | longest service | bound |",
		"| --- | --- | --- | --- | --- |",
	}
	for _, row := range []struct {
		says string
		e    exposures
	}{
		{"acknowledged: `MaxExposure` 0", acked},
		{fmt.Sprintf("did not: `MaxExposure` %v", unacked.promised), unacked},
	} {
		n, longest := row.e.served()
		lines = append(lines, fmt.Sprintf("| %s | %d | %d | %v | %v |", row.says, len(row.e.seen),
			n, longest.Round(time.Millisecond), bound))
	}
	steps := []time.Duration{
		0, 250 * time.Millisecond, 500 * time.Millisecond, 750 * time.Millisecond, time.Second,
		bound,
	}
	counts := make([]int, len(steps)+1)
	for _, d := range slices.Concat(acked.seen, unacked.seen) {
		n, _ := slices.BinarySearch(steps, d)
		counts[n]++
	}
	lines = append(lines, "", "| served for | sessions |", "| --- | --- |",
		fmt.Sprintf("| not at all | %d |", counts[0]))
	for n := 1; n < len(steps); n++ {
		lines = append(lines, fmt.Sprintf("| up to %v | %d |", steps[n], counts[n]))
	}
	lines = append(lines, fmt.Sprintf("| longer | %d |", counts[len(steps)]))
	return fmt.Sprintf(exposureText, freshness, strings.Join(lines, "\n"))
}

var figures = regexp.MustCompile(`\| [0-9.]+m?s? `)

// blank removes what is different each time.
func blank(text string) string {
	for range 2 { // neighbours share a bar
		text = figures.ReplaceAllString(text, "| N ")
	}
	return text
}
