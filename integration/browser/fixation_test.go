package browser_test

import (
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// Mallory begins a session and puts its cookie into Alice's browser. When Alice has logged in, his copy is worth nothing.
func TestSlowAPlantedCookieIsWorthNothingAfterTheLogin(t *testing.T) {
	begin(t)
	for name, row := range map[string]struct {
		environment []string
		gets        string // what Mallory sees
	}{
		"as it is": {nil, "Who are you?"},
		// The same attack where the library is told not to stop it. It shows that this test would see it.
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
