package browser_test

import (
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// Mallory begins a session and plants its cookie in Alice's browser. When Alice
// has logged in, his copy is dead.
func TestSlowAPlantedCookieIsWorthNothingAfterTheLogin(t *testing.T) {
	begin(t)
	for name, row := range map[string]struct {
		environment []string
		gets        string // what Mallory's cookie gets
	}{
		"as it is": {nil, "Who are you?"},
		// The same attack with rotation at login turned off. It shows that this
		// test would see the attack.
		"with the token kept": {[]string{"SESSION_REGENERATE_ON_LOGIN=false"}, "Hello, alice."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := front(t, append(row.environment, production, withSecret,
				"DATABASE_URL="+pgtest.Database(t))...)
			mallory, alice := laptop(t, s), phone(t, s)
			mallory.open("/")
			mallory.follow(`#counter button[value="add"]`)
			alice.plant(mallory.session())

			alice.open("/")
			counted := ask[string](alice, `document.querySelector(".number").innerText`)
			if counted != "1" {
				t.Fatalf("the planted cookie does not work before the login: the counter is %q",
					counted)
			}
			alice.login("alice")
			mallory.open("/")
			mallory.wantHeading(row.gets)
		})
	}
}
