package sessionstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

func (o *outage) begin(name, userID string) error {
	_, err := o.Create(o.t.Context(), store.Draft{ID: idOf(name), UserID: userID, Data: json.RawMessage(`{"n":0}`)})
	return err
}

// Visitors take what room they get in an emergency: users log in all the same.
func TestVisitorsLeaveRoomForLoginsInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		o.away()
		o.SetLimit(100, 1<<20)
		visitors := 0
		for ; visitors < 1000 && o.begin(fmt.Sprint("visitor", visitors), "") == nil; visitors++ {
		}
		expect(t, "visitors", visitors, 50)
		// A visitor who logs in makes room for another one, and takes of the
		// users'.
		_, err := o.Rotate(t.Context(), idOf("visitor0"), idOf("login0"), store.Change{UserID: "ann"})
		expect(t, "a visitor's login", err, nil)
		expect(t, "another visitor", o.begin("one more", ""), nil)
		expect(t, "one too many", verdictOf(o.begin("one too many", "")), "unavailable")
		for n := range 49 {
			expect(t, "a login", o.begin(fmt.Sprint("user", n), "ann"), nil)
		}
		expect(t, "a login too many", verdictOf(o.begin("full", "ann")), "unavailable")
		o.back()
	})
}

// The same for what they store.
func TestVisitorsLeaveBytesForLoginsInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		defer o.end()
		o.away()
		o.SetLimit(1000, 100_000)
		big := set("big", `"`+strings.Repeat("x", 10_000)+`"`)
		stored := 0
		for n := range 50 {
			name := fmt.Sprint("visitor", n)
			if o.begin(name, "") != nil {
				break
			}
			if _, err := o.Save(t.Context(), idOf(name), big); err == nil {
				stored++
			}
		}
		expect(t, "visitors with much", stored, 4)
		expect(t, "a login", o.begin("user", "ann"), nil)
		_, err := o.Save(t.Context(), idOf("user"), big)
		expect(t, "what it stores", err, nil)
		o.back()
	})
}

// Sessions with a user are restored first, and those that Postgres refuses keep
// no other from it.
func TestUsersAreRestoredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(t, halfMinute, weekly)
		refusing := &refusingUsers{Store: o.pg.Store}
		o.pg.Store = refusing // before the timers of an outage, which read it
		o.away()
		const users, visitors = 400, 700
		for n := range visitors {
			expect(t, "a visitor", o.begin(fmt.Sprint("visitor", n), ""), nil)
		}
		for n := range users {
			expect(t, "a login", o.begin(fmt.Sprint("user", n), "ann"), nil)
		}
		o.pg.asked()
		o.pg.drafts = nil
		o.back()
		seen := map[string]int{}
		for i, d := range o.pg.drafts {
			// A move takes some of the visitors beside the last users.
			if seen[d.UserID]++; d.UserID == "" && i < users-users%256 {
				t.Fatalf("the %d. restored is a visitor's", i)
			}
		}
		expect(t, "restored", seen[""], visitors)
		expect(t, "restored of users", seen["ann"], users)

		o.away()
		for n := range users {
			expect(t, "a login", o.begin(fmt.Sprint("stuck", n), "ann"), nil)
		}
		expect(t, "a visitor", o.begin("free", ""), nil)
		refusing.on.Store(true)
		o.pg.up()
		time.Sleep(1100 * time.Millisecond)
		expect(t, "the visitor", o.row(idOf("free")), "alive")
		expect(t, "those that Postgres refuses", o.InMemory(), users)
		refusing.on.Store(false)
		time.Sleep(1100 * time.Millisecond)
		expect(t, "when it takes them", o.InMemory(), 0)
		o.end()
	})
}

// refusingUsers refuses rows with a user while it is on.
type refusingUsers struct {
	store.Store
	on atomic.Bool
}

func (r *refusingUsers) Create(ctx context.Context, d store.Draft) (store.Record, error) {
	if r.on.Load() && d.UserID != "" {
		return store.Record{}, errors.New("the data can't be stored")
	}
	return r.Store.Create(ctx, d)
}
