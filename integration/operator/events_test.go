package operator_test

import (
	"encoding/json"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
)

// The events of a user say from where a login came and why it ended: also by a
// revoke of all users, and none of another user.
func TestEventsOfAUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *sessionstore.Config) { c.RecordEvents = true })
	s.env.run(t, "events", "-user", "ada").wants(t, 0,
		`^no event: .* SESSION_RECORD_EVENTS=true\n$`, "")
	_, handle := s.login(t, "ada")
	s.comeAndGo(t, "ada")
	s.comeAndGo(t, "eve")
	ctx := sessionstore.WithActor(t.Context(), "jo", "\x1b[2J")
	if _, err := s.RevokeAll(ctx); err != nil {
		t.Fatal(err)
	}
	s.env.run(t, "events", "-user", "ada").wants(t, 0, `^AT \(UTC\) .*\n`+
		`\S+ \S+ +sessions revoked +all +jo +1 +"\\x1b\[2J"\n`+
		`\S+ \S+ +sessions revoked +all +jo +"\\x1b\[2J"\n`+
		`\S+ \S+ +session logout +logout +ada +192\.0\.2\.1 +Test +\S{22} *\n`+
		`\S+ \S+ +session login +\S{22} *\n`+
		`\S+ \S+ +session login +`+handle+` *\n$`, "")
	s.env.run(t, "events", "-user", "ada", "-limit", "1").wants(t, 0,
		`revoked .* 1 `, `there are more: -limit 10`)

	var list struct {
		Events []struct {
			Kind, IP  string
			UserAgent string `json:"user_agent"`
			Count     *int
		}
		More bool
	}
	r := s.env.run(t, "events", "-user", "ada", "-since", "1h", "-json", "-limit", "5")
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || len(list.Events) != 5 ||
		list.More || list.Events[0].Count == nil || *list.Events[0].Count != 1 ||
		list.Events[1].Count != nil || list.Events[2].Kind != "session logout" ||
		list.Events[2].IP != "192.0.2.1" || list.Events[2].UserAgent != "Test/1" {
		t.Errorf("%v: %s%s", err, r.stdout, r.stderr)
	}
	admin := pgtest.Pool(t, s.url)
	pgtest.Exec(t, admin, "UPDATE pgsession.events SET at = at - interval '2 h'")
	s.env.run(t, "events", "-user", "ada", "-since", "1h", "-json").wants(t, 0,
		`^{"events":\[\],"more":false}\n$`, "")
	s.env.run(t, "events", "-user", "ada", "-since", "soon").wants(t, 2, "",
		`-since "soon": write a time`)
	pgtest.Exec(t, admin, "ALTER ROLE "+s.roles.App+" SET default_transaction_read_only = on")
	s.env.run(t, "events", "-user", "eve").wants(t, 0, `session logout`, "") // it only reads
}
