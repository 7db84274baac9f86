package chain_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/sessionstore"
)

// An attacker who can write to Redis plants a value that refuses our fills.
// Saves succeed without a cookie each, and no load is behind the last save.
func TestAPlantedValueMakesNoSaveSetTheCookie(t *testing.T) {
	t.Parallel()
	setsNoCookie(t, testkit.Only(t, plantedValues, "a version that none reaches"))
}

// The same with every other value.
//
// Slow: each starts a Redis and two instances behind HTTP.
func TestSlowAPlantedValueMakesNoSaveSetTheCookie(t *testing.T) {
	t.Parallel()
	setsNoCookie(t, testkit.Without(t, plantedValues, "a version that none reaches"))
}

var plantedValues = map[string]func(own string) string{
	"a version that none reaches": func(own string) string {
		return own[:5] + strings.Repeat("\x7f", 16) + own[21:]
	},
	"another seal": func(own string) string {
		return own[:len(own)-1] + string(own[len(own)-1]^1)
	},
	"a tombstone":           func(string) string { return "buried" },
	"rubbish of our format": func(string) string { return "\x01" + strings.Repeat("\xff", 100) },
}

func setsNoCookie(t *testing.T, values map[string]func(own string) string) {
	for name, plant := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			i, peer := r.open(unhurried), r.open(unhurried)
			s, other := i.serve(t), peer.serve(t)
			s.want("/login", http.StatusOK, "alice")
			s.want("/set", http.StatusOK, "alice")
			ids, err := i.manager.Store().List(t.Context(), "alice", sessionstore.Page{})
			if err != nil || len(ids) != 1 {
				t.Fatalf("%d sessions, %v", len(ids), err)
			}
			own, err := r.redis.Client.Get(t.Context(), key(ids[0].ID)).Result()
			if err != nil {
				t.Fatal(err)
			}
			planted := plant(own)
			counted := 0
			setNoCookie(t, []*instance{i, peer}, func() (cookies int) {
				for n := range 20 {
					if n%5 == 0 {
						r.redis.Do("SET", key(ids[0].ID), planted, "PX",
							24*time.Hour.Milliseconds())
					}
					_, _, set := s.get("/count")
					cookies += set
					other.cookie = s.cookie
					_, _, set = other.get("/count")
					cookies += set
					s.cookie = other.cookie // its minimum version, where the cache was late
					counted += 2
				}
				return cookies
			})
			s.want("/counted", http.StatusOK, strconv.Itoa(counted))
			const most = 6 * time.Minute // the longest freshness that Config allows
			if planted == "buried" {
				return
			}
			// A fill can be too late for its call, but not each of them.
			testkit.Eventually(t, "a fill replaces what was planted", func() bool {
				s.get("/count")
				return r.redis.Client.PTTL(t.Context(), key(ids[0].ID)).Val() <= most
			})
		})
	}
}

// Concurrent saves put the newest version into Redis, and the second one sets
// no cookie.
func TestSavesBesideEachOtherSetNoCookie(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	i := r.open(unhurried)
	s := i.serve(t)
	s.want("/login", http.StatusOK, "alice")
	setNoCookie(t, []*instance{i}, func() (cookies int) {
		answers := make(chan int)
		for range 16 {
			own := *s
			go func() {
				cookies := 0
				for range 10 {
					_, _, set := own.get("/set")
					cookies += set
				}
				answers <- cookies
			}()
		}
		for range 16 {
			cookies += <-answers
		}
		return cookies
	})
}

// setNoCookie fails if requests set more cookies than there are calls that the
// cache did not answer in time. A save without an answer has to set one. That
// happens on a busy machine, and then the requests are repeated.
func setNoCookie(t *testing.T, instances []*instance, requests func() (cookies int)) {
	t.Helper()
	unanswered := func() (n int64) {
		for _, i := range instances {
			c := i.manager.Metrics().Cache
			n += c.Errors + c.Unavailable + c.FillsFailed + c.TombstonesFailed
		}
		return n
	}
	for range 5 {
		before := unanswered()
		cookies := requests()
		if cookies == 0 {
			return
		}
		if late := unanswered() - before; int64(cookies) > late {
			t.Fatalf("%d responses set the cookie, and the cache was late for %d calls", cookies,
				late)
		}
	}
	t.Log("on this machine the cache is often late: each cookie was for a call that it did not answer in time")
}
