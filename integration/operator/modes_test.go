package operator_test

import (
	"net/url"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// The command takes the URL of the application, with the mode that suits the
// pooler in between.
func TestEveryModeOfQueries(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *sessionstore.Config) { c.RecordEvents = true })
	for _, mode := range []string{
		"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol",
	} {
		_, handle := s.login(t, "ada")
		owner, err := url.Parse(s.url)
		if err != nil {
			t.Fatal("the URL is not valid")
		}
		query := owner.Query()
		query.Set("default_query_exec_mode", mode)
		owner.RawQuery = query.Encode()
		e := environment{"DATABASE_URL": owner.String()}
		e.run(t, "sessions", "-handle", handle).wants(t, 0, `\n`+handle+` +ada`, "")
		e.run(t, "stats").wants(t, 0, `(?m)^alive +1 `, "")
		e.run(t, "events", "-user", "ada", "-since", "1h").wants(t, 0,
			`session login +`+handle+` *\n$`, "")
		e.run(t, "revoke", "-before", "1h").wants(t, 2, "",
			`it would end the sessions .*: 0: add -yes`)
		e.run(t, "export", "-user", "ada").wants(t, 0,
			`"handle":"`+handle+`"(?s:.*)"kind":"session login"`, "")
		e.run(t, "revoke", "-handle", handle).wants(t, 0, `^sessions ended: 1`, "")
		e.run(t, "erase", "-user", "ada", "-yes").wants(t, 0,
			`(?m)^events that name no user now: 1 of the user, 0 in which`, "")
		e.run(t, "doctor").wants(t, 3, `(?m)^ok     alarms: `, "") // fsync is off
	}
}
