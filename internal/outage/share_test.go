package outage_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/internal/outagetest"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

func begin(o *outagetest.Process, name, userID string) error {
	_, err := o.Create(o.T.Context(),
		store.Draft{ID: idOf(name), UserID: userID, Data: json.RawMessage(`{"n":0}`)})
	return err
}

// beginPending begins the login of a user with two factors.
func beginPending(o *outagetest.Process, name, userID string) error {
	_, err := o.Create(o.T.Context(), store.Draft{ID: idOf(name), PendingUserID: userID})
	return err
}

// Visitors take what room they get in an emergency: users log in all the same.
func TestVisitorsLeaveRoomForLoginsInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.BeginOutage()
		o.SetLimit(100, 1<<20)
		visitors := 0
		for ; visitors < 1000 && begin(o, fmt.Sprint("visitor", visitors), "") == nil; visitors++ {
		}
		expect(t, "visitors", visitors, 50)
		// The login of a visitor takes of the users' room, and makes room for
		// another visitor.
		_, err := o.Rotate(t.Context(), idOf("visitor0"), idOf("login0"),
			store.Change{UserID: "ann"})
		expect(t, "a visitor's login", err, nil)
		expect(t, "another visitor", begin(o, "one more", ""), nil)
		expect(t, "one too many", verdictOf(begin(o, "one too many", "")), "unavailable")
		for n := range 29 {
			expect(t, "a login", begin(o, fmt.Sprint("user", n), "ann"), nil)
		}
		for n := range 19 {
			expect(t, "one of two factors", beginPending(o, fmt.Sprint("two", n), "bob"), nil)
		}
		_, err = o.Rotate(t.Context(), idOf("visitor1"), idOf("two"),
			store.Change{PendingUserID: "bob"})
		expect(t, "a visitor's first factor", err, nil)
		expect(t, "another visitor", begin(o, "two more", ""), nil)
		expect(t, "a login too many", verdictOf(begin(o, "full", "ann")), "unavailable")
		o.EndOutage()
	})
}

// The same for what they store.
func TestVisitorsLeaveBytesForLoginsInAnEmergency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		defer o.End()
		o.BeginOutage()
		o.SetLimit(1000, 100_000)
		big := set("big", `"`+strings.Repeat("x", 10_000)+`"`)
		stored := 0
		for n := range 50 {
			name := fmt.Sprint("visitor", n)
			if begin(o, name, "") != nil {
				break
			}
			if _, err := o.Save(t.Context(), idOf(name), big); err == nil {
				stored++
			}
		}
		expect(t, "visitors with much", stored, 4)
		expect(t, "a login", begin(o, "user", "ann"), nil)
		_, err := o.Save(t.Context(), idOf("user"), big)
		expect(t, "what it stores", err, nil)
		expect(t, "a pending login", beginPending(o, "two", "bob"), nil)
		_, err = o.Save(t.Context(), idOf("two"), big)
		expect(t, "what that stores", err, nil)
		o.EndOutage()
	})
}

// Sessions with a user or a pending login are restored first, and those that
// Postgres refuses keep no other from it.
func TestUsersAreRestoredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outagetest.New(t, halfMinute, weekly)
		o.BeginOutage()
		const users, half, visitors = 400, 200, 700
		for n := range visitors {
			expect(t, "a visitor", begin(o, fmt.Sprint("visitor", n), ""), nil)
		}
		for n := range half {
			expect(t, "a login", begin(o, fmt.Sprint("user", n), "ann"), nil)
			expect(t, "one of two factors", beginPending(o, fmt.Sprint("two", n), "bob"), nil)
		}
		o.Postgres.Forget()
		o.EndOutage()
		seen := map[string]int{}
		i := 0
		for _, c := range o.Postgres.Calls() {
			if c.Op != store.OpCreate {
				continue
			}
			// A batch has some of the visitors beside the last users.
			user := cmp.Or(c.Draft.UserID, c.Draft.PendingUserID)
			if seen[user]++; user == "" && i < users-users%256 {
				t.Fatalf("the %d. restored is a visitor's", i)
			}
			i++
		}
		expect(t, "restored", seen[""], visitors)
		expect(t, "restored of users", seen["ann"], half)
		expect(t, "restored pending logins", seen["bob"], half)

		o.BeginOutage()
		for n := range users {
			expect(t, "a login", begin(o, fmt.Sprint("stuck", n), "ann"), nil)
		}
		expect(t, "a visitor", begin(o, "free", ""), nil)
		o.Postgres.Up()
		refused := o.Postgres.Inject(fault.Rule{
			If:  func(c fault.Call) bool { return c.Draft.UserID != "" },
			Err: errors.New("the data can't be stored"),
		}, store.OpCreate)
		time.Sleep(1100 * time.Millisecond)
		expect(t, "the visitor", o.Row(idOf("free")), "alive")
		expect(t, "those that Postgres refuses", o.Metrics().InMemory, users)
		refused.Release()
		time.Sleep(1100 * time.Millisecond)
		expect(t, "when it takes them", o.Metrics().InMemory, 0)
		o.End()
	})
}
