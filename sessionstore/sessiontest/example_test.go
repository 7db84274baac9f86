package sessiontest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/sessiontest"
	"github.com/reporadar/pgsession/sessionstore/store"
)

var cart = sessionstore.NewKey[[]string]("cart")

// newShop is the application that the tests below are for.
func newShop(sessions *sessionstore.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /cart", sessionstore.HandlerFunc(addToCart))
	mux.Handle("GET /account", sessionstore.RequireAuth(0, time.Hour, nil)(
		sessionstore.HandlerFunc(account)))
	return sessions.Handler(mux)
}

func addToCart(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	items, err := cart.Get(s)
	if err != nil {
		return err
	}
	return cart.Set(s, append(items, r.FormValue("item")))
}

func account(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
	_, err := fmt.Fprintf(w, "Hello, %s.", s.UserID())
	return err
}

// A request of a user with a full cart, and what it left.
func TestAUserAddsToTheCart(t *testing.T) {
	sessions := sessiontest.New(t)
	shop := newShop(sessions.Manager)

	r := sessions.Request(t, "POST", "/cart?item=tea", nil,
		sessiontest.User("ada"), sessiontest.Value(cart, []string{"ink"}))
	w := httptest.NewRecorder()
	shop.ServeHTTP(w, r)

	after := sessions.After(t, r, w.Result())
	if items, err := cart.Get(after); fmt.Sprint(items) != "[ink tea]" {
		t.Errorf("in the cart: %v, %v", items, err)
	}
	if after.UserID() != "ada" {
		t.Errorf("the user: %q", after.UserID())
	}
}

// A page asks for a login of the last hour.
func TestTheLoginOfAnAccountIsRecent(t *testing.T) {
	sessions := sessiontest.New(t)
	shop := newShop(sessions.Manager)
	r := sessions.Request(t, "GET", "/account", nil, sessiontest.User("ada"))

	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("status %d, want %d", w.Code, want)
		}
		sessions.Advance(t, 61*time.Minute)
	}
}

// The same with the clock of a bubble, in which timers run too.
func TestTheLoginOfAnAccountIsRecentInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := sessiontest.New(t)
		shop := newShop(sessions.Manager)
		r := sessions.Request(t, "GET", "/account", nil, sessiontest.User("ada"))
		time.Sleep(61 * time.Minute)

		w := httptest.NewRecorder()
		shop.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("status %d, want 401", w.Code)
		}
	})
}

// The cart can't be saved, and the client gets an error in place of a success.
func TestACartThatIsNotSaved(t *testing.T) {
	sessions := sessiontest.New(t)
	shop := newShop(sessions.Manager)
	r := sessions.Request(t, "POST", "/cart?item=tea", nil, sessiontest.User("ada"))

	sessions.Faults.Down(store.OpSave)
	w := httptest.NewRecorder()
	shop.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", w.Code)
	}
}
