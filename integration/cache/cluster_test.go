package cache_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reporadar/pgsession/cache"
)

const slots = 16384

// startCluster starts a Redis Cluster of three masters.
func startCluster(t *testing.T) []*server {
	t.Helper()
	var members []*server
	for range 3 {
		members = append(members, start(t, "cluster-enabled yes", "cluster-config-file nodes.conf",
			"cluster-node-timeout 2000", "cluster-require-full-coverage yes"))
	}
	for i, m := range members {
		m.do("CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		m.do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		m.do("CLUSTER", "MEET", "127.0.0.1", members[0].port)
	}
	for _, m := range members {
		m.until("the Cluster is up", func() bool { return up(m) })
	}
	return members
}

func up(m *server) bool {
	info := fmt.Sprint(m.do("CLUSTER", "INFO"))
	return strings.Contains(info, "cluster_state:ok") &&
		strings.Contains(info, "cluster_known_nodes:3")
}

func clusterURL(members []*server) string {
	url := members[0].url() + "?cluster=true"
	for _, m := range members[1:] {
		url += "&addr=" + m.addr()
	}
	return url
}

func TestCluster(t *testing.T) {
	members := startCluster(t)
	c := dial(t, clusterURL(members))
	wantPing(t, c, "")
	wantPing(t, dial(t, members[0].url()+"?cluster=true"), "")

	var ids []cache.ID
	for i := range 300 {
		ids = append(ids, idOf(i))
		fill(t, c, ids[i], entryOf(int64(i+1), fmt.Sprint(i)))
	}
	errs := make(chan error, len(ids))
	for i, id := range ids { // concurrently
		go func() {
			e, err := c.Get(t.Context(), id)
			if err == nil && !same(e, entryOf(int64(i+1), fmt.Sprint(i))) {
				err = errors.New("another entry")
			}
			errs <- err
		}()
	}
	for range ids {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := c.PutTombstones(t.Context(), time.Hour, ids...); err != nil {
		t.Error(err)
	}
	for _, id := range ids {
		if _, err := c.Get(t.Context(), id); !errors.Is(err, cache.ErrTombstone) {
			t.Errorf("Get: %v", err)
		}
	}
	for _, m := range members {
		m.allEnd()
	}
	if got := c.Stats(); got.Errors != 0 {
		t.Errorf("stats %+v", got)
	}
}

// A client has the address of one server only, which is a member.
func TestMemberIsTakenForAServer(t *testing.T) {
	members := startCluster(t)
	wrong := 0
	for range 20 {
		if err := dial(t, members[0].url()).Ping(t.Context()); err != nil {
			wrong++
			if !errors.Is(err, cache.ErrUnavailable) ||
				!strings.Contains(err.Error(), "cluster=true") {
				t.Errorf("Ping: %v", err)
			}
		}
	}
	if wrong == 0 {
		t.Error("no error says that this is a member of a Cluster")
	}
}

// A slot moves, with its keys, while many callers use it. No call fails, and no
// tombstone is lost.
func TestSlotMovesWhileInUse(t *testing.T) {
	members := startCluster(t)
	c := dial(t, clusterURL(members))
	admin := members[0].admin()
	defer func() { _ = admin.Close() }()
	slot := int(admin.ClusterKeySlot(t.Context(), keyOf(idOf("moves"))).Val())
	owner := members[slot*3/slots]
	if slot >= (slot*3/slots+1)*slots/3 { // rounding
		owner = members[slot*3/slots+1]
	}
	var target *server
	for _, m := range members {
		if m != owner {
			target = m
		}
	}
	// Ids of this slot: some have a tombstone, some are filled over and over.
	var dead, alive []cache.ID
	for i := 0; len(dead) < 2 || len(alive) < 2; i++ {
		id := idOf(fmt.Sprint("try ", i))
		if int(admin.ClusterKeySlot(t.Context(), keyOf(id)).Val()) != slot {
			continue
		}
		if len(dead) < 2 {
			dead = append(dead, id)
		} else {
			alive = append(alive, id)
		}
	}
	if err := c.PutTombstones(t.Context(), time.Hour, dead...); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	finished := make(chan int)
	for caller := range 4 {
		go func() {
			rounds := 0
			defer func() { finished <- rounds }()
			for i := int64(1); ; i++ {
				select {
				case <-done:
					return
				default:
				}
				rounds++
				for n := range dead {
					if stored, err := c.Fill(t.Context(), dead[n],
						entryOf(i, "resurrected"), time.Hour); stored || err != nil {
						t.Errorf("Fill over a tombstone: %v, %v", stored, err)
						return
					}
					if _, err := c.Get(t.Context(), dead[n]); !errors.Is(err, cache.ErrTombstone) {
						t.Errorf("Get of an id with a tombstone: %v", err)
						return
					}
					if caller == 0 {
						if stored, err := c.Fill(t.Context(), alive[n],
							entryOf(i, fmt.Sprint(i)), time.Hour); !stored || err != nil {
							t.Errorf("Fill: %v, %v", stored, err)
							return
						}
						if e, err := c.Get(t.Context(),
							alive[n]); err != nil || !same(e, entryOf(i, fmt.Sprint(i))) {
							t.Errorf("Get: version %d of %d, %v", e.Version, i, err)
							return
						}
					}
				}
			}
		}()
	}
	until(t, "there are hits", func() bool { return c.Stats().Hits > 20 })
	ownerID, targetID := owner.do("CLUSTER", "MYID"), target.do("CLUSTER", "MYID")
	for range 2 { // there and back
		target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", ownerID)
		owner.do("CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
		for {
			keys := owner.do("CLUSTER", "GETKEYSINSLOT", slot, 1).([]any)
			if len(keys) == 0 {
				break
			}
			hits := c.Stats().Hits
			owner.do("MIGRATE", "127.0.0.1", strconv.Itoa(target.port), "", 0, 5000, "KEYS",
				keys[0])
			until(t, "there are hits between", func() bool {
				return c.Stats().Hits > hits || t.Failed()
			})
		}
		target.do("CLUSTER", "SETSLOT", slot, "NODE", targetID)
		owner.do("CLUSTER", "SETSLOT", slot, "NODE", targetID)
		hits := c.Stats().Hits
		until(t, "there are hits after", func() bool {
			return c.Stats().Hits > hits+10 || t.Failed()
		})
		owner, target, ownerID, targetID = target, owner, targetID, ownerID
	}
	close(done)
	rounds := 0
	for range 4 {
		rounds += <-finished
	}
	t.Logf("%d rounds; %+v", rounds, c.Stats())
	if got := c.Stats(); got.Errors != 0 || got.BreakerOpen {
		t.Errorf("stats %+v", got)
	}
}

// Slow: the members of a Cluster take seconds to agree that one is down, as in
// TestMemberIsKilled.
func TestSlowMemberHangs(t *testing.T) {
	members := startCluster(t)
	wantOutage(t, clusterURL(members), func() { members[1].signal(syscall.SIGSTOP) }, func() {
		members[1].signal(syscall.SIGCONT)
		members[0].until("the Cluster is up", func() bool {
			return up(members[0]) && up(members[1]) && up(members[2])
		})
	})
}

func TestMemberIsKilled(t *testing.T) {
	members := startCluster(t)
	wantOutage(t, clusterURL(members), members[1].kill, func() {
		members[1].run()
		members[0].until("the Cluster is up", func() bool {
			return up(members[0]) && up(members[1]) && up(members[2])
		})
	})
}

// Sentinel makes the replica the master, and the cache follows.
func TestSentinelFailsOver(t *testing.T) {
	first := start(t)
	second := start(t, fmt.Sprintf("replicaof 127.0.0.1 %d", first.port))
	second.until("the replica has caught up", func() bool {
		return strings.Contains(fmt.Sprint(second.do("INFO", "replication")),
			"master_link_status:up")
	})
	sentinel := start(t, "# a Sentinel writes into its file")
	sentinel.kill()
	sentinel.runSentinel(first)
	c := dial(t, sentinel.url()+"?master_name=m&dial_timeout=5s")
	wantPing(t, c, "")
	wantPing(t, dial(t, sentinel.url()+"?master_name=other&dial_timeout=5s"),
		"no sentinel knows a master of this name")

	fill(t, c, idOf("a"), entryOf(1, "data"))
	sentinel.until("the Sentinel knows the replica", func() bool {
		return strings.Contains(fmt.Sprint(sentinel.do("SENTINEL", "REPLICAS", "m")),
			strconv.Itoa(second.port))
	})
	second.until("the replica has the entry", func() bool {
		return fmt.Sprint(second.do("DBSIZE")) != "0"
	})
	first.kill()
	until(t, "the replica is master and in use", func() bool { return c.Ping(t.Context()) == nil })
	until(t, "the breaker is closed", func() bool { return !c.Stats().BreakerOpen })
	if e, err := c.Get(t.Context(), idOf("a")); err != nil || !same(e, entryOf(1, "data")) {
		t.Errorf("Get from the new master: %v", err)
	}
	fill(t, c, idOf("b"), entryOf(1, "data"))
	second.allEnd()
}

func (s *server) runSentinel(master *server) {
	s.t.Helper()
	s.configure(fmt.Sprintf("bind 127.0.0.1\nport %d\nsentinel monitor m 127.0.0.1 %d 1\nsentinel down-after-milliseconds m 500\nsentinel failover-timeout m 3000\n", s.port, master.port))
	s.run("--sentinel")
}
