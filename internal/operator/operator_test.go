package operator

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// What needs no database answers without one, and wrong use has status 2.
func TestExitStatus(t *testing.T) {
	const nowhere = "postgres://me:sesame@127.0.0.1:1/shop" // nothing listens on port 1
	for name, c := range map[string]struct {
		args   string
		status int
		stdout string
		stderr string
	}{
		"help":                 {"-h", ok, "Usage: pgsession COMMAND", ""},
		"help as a word":       {"help", ok, "Usage: pgsession COMMAND", ""},
		"help of a command":    {"revoke -h", ok, "Usage: pgsession COMMAND", ""},
		"help of ops":          {"ops -h", ok, "Usage: pgsession COMMAND", ""},
		"help of migrate":      {"migrate -h", ok, "Usage: migrate", ""},
		"no command":           {"", misuse, "", "no command"},
		"an unknown command":   {"list", misuse, "", `unknown command "list"`},
		"a flag of another":    {"stats -user ada", misuse, "", "not defined: -user"},
		"two selections":       {"revoke -user ada -all", misuse, "", "needs one of"},
		"two users":            {"revoke -user a -user b", misuse, "", "-user: it is given twice"},
		"all is false":         {"revoke -all=false -yes", misuse, "", "needs one of -user"},
		"the list of none":     {"sessions -all=F", misuse, "", "needs one of -user"},
		"no selection":         {"revoke", misuse, "", "needs one of -user"},
		"the events of none":   {"events -limit 5", misuse, "", "events needs -user"},
		"too many events":      {"events -user ada -limit 0", misuse, "", "-limit must be"},
		"an empty user":        {"export -user=", misuse, "", "-user is empty"},
		"a file":               {"ops alarms", ok, "FROM pg_catalog.pg_class", ""},
		"a file for a schema":  {"ops -schema shop support", ok, "CREATE SCHEMA shop_support", ""},
		"no such file":         {"ops passwords", failed, "", "use one of alarms"},
		"a server that is off": {"stats", failed, "", "127.0.0.1:1"},
		"the doctor of it":     {"doctor", foundIt, "wrong  connection: ", ""},
		"too little time":      {"stats -timeout 1us", misuse, "", "must be a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			environ := []string{"DATABASE_URL=" + nowhere}
			var stdout, stderr bytes.Buffer
			got := Run(context.Background(), strings.Fields(c.args), environ, &stdout, &stderr)
			if got != c.status || !strings.Contains(stdout.String(), c.stdout) ||
				!strings.Contains(stderr.String(), c.stderr) ||
				strings.Contains(stdout.String()+stderr.String(), "sesame") {
				t.Errorf("status %d, want %d\n%s\n%s", got, c.status, &stdout, &stderr)
			}
		})
	}
}

// A mistyped variable is named by the doctor, without its value.
func TestTheDoctorNamesUnknownVariables(t *testing.T) {
	environ := []string{
		"DATABASE_URL=postgres://me:sesame@127.0.0.1:1/shop", "SESSION_SECRET=" +
			strings.Repeat("abcdefgh", 4), "SESSION_MANAGER=local/host",
	}
	examine := func(environ ...string) string {
		var stdout, stderr bytes.Buffer
		if got := Run(t.Context(), []string{"doctor"}, environ, &stdout, &stderr); got != foundIt {
			t.Errorf("status %d, want %d: %s", got, foundIt, &stderr)
		}
		return stdout.String()
	}
	const known = "ok     environment: an application can start with it\n"
	if out := examine(environ...); !strings.Contains(out, known) {
		t.Errorf("of known variables it says\n%s", out)
	}
	out := examine(append(environ, "SESSION_IDLE_TIMEOUT=15m", "SESSION_PIN=7355608")...)
	for _, want := range []string{
		"note   environment: SESSION_IDLE_TIMEOUT is set, and is no setting\n" +
			"       -> it has no effect on pgsession: set SESSION_TIMEOUT instead",
		"note   environment: SESSION_PIN is set, and is no setting\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the doctor says\n%s\nwithout\n%s", out, want)
		}
	}
	if strings.Contains(out, "15m") || strings.Contains(out, "7355608") ||
		strings.Contains(out, known) {
		t.Errorf("the doctor says\n%s", out)
	}
}

// An estimate that stopped counting the expired sessions says so: the rest of
// them is no session that is alive.
func TestStatsOfACappedEstimate(t *testing.T) {
	s := sessionstore.Stats{Total: 199_032, Active: 189_032, Expired: 10_000, Capped: true}
	for want, s := range map[string]sessionstore.Stats{
		"alive                    at most 189032  estimated: -exact counts\n" +
			"expired, not pruned yet  at least 10000\nlast prune               never\n": s,
		"alive                    2  counted\n" +
			"expired, not pruned yet  10001\nlast prune               never\n": {
			Total: 10_003, Active: 2, Expired: 10_001, Exact: true,
		},
	} {
		var out bytes.Buffer
		if err := printStats(&out, s); err != nil || out.String() != want {
			t.Errorf("%v\n%s\nwant\n%s", err, &out, want)
		}
	}
}

// The errors of a connection name the server once.
func TestAServerThatIsOffIsNamedOnce(t *testing.T) {
	env := []string{"DATABASE_URL=postgres://me:sesame@127.0.0.1:1/shop"}
	for _, command := range []string{"stats", "doctor", "export -user ada", "migrate up"} {
		var out bytes.Buffer
		Run(t.Context(), strings.Fields(command), env, &out, &out)
		if n := strings.Count(out.String(), "127.0.0.1:1"); n != 1 {
			t.Errorf("%s names the server %d times:\n%s", command, n, &out)
		}
	}
}

func TestAges(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"72h": 72 * time.Hour, "1d": day, "30d": 30 * day, "20000d": maxDays * day,
		"0d": 0, "-1d": 0, "d": 0, "1.5d": 0, "1h30m": 90 * time.Minute, "-1h": 0, "5": 0, "": 0,
		"2026-01-31": 0,
	} {
		age, isAge := ageOf(text)
		if !isAge {
			age = 0
		}
		if age != want {
			t.Errorf("%q is %v, want %v", text, age, want)
		}
	}
}

func TestTheIDBefore(t *testing.T) {
	var last, borrowed, zero store.ID
	last[31], borrowed[30] = 2, 1
	if id := before(last); id[31] != 1 {
		t.Errorf("before …2 is …%d", id[31])
	}
	if id := before(borrowed); id[30] != 0 || id[31] != 0xff {
		t.Errorf("before …1 0 is …%d %d", id[30], id[31])
	}
	if id := before(zero); id[0] != 0xff {
		t.Error("the first id has one before it: no hash is zero")
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"ada": "ada", "Ada L. Łóżko": "Ada L. Łóżko", "a\x1b[2J": `"a\x1b[2J"`, "a\nb": `"a\nb"`,
		"a\xffb": `"a\xffb"`, "a\u202eb": `"a\u202eb"`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is printed as %s, want %s", text, got, want)
		}
	}
}
