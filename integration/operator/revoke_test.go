package operator_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/integration/redistest"
	"github.com/reporadar/pgsession/sessionstore"
)

const noCache = `no cache is set here`

// installation is what the command has ended sessions of.
const installation = ` \(schema pgsession in database \S+ at \S+\)\n`

func TestRevoke(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, handle := s.login(t, "ada")
	two, _ := s.login(t, "ada")
	eves, _ := s.login(t, "eve")

	s.env.run(t, "revoke", "-user", "eve", "-handle", handle).wants(t, 1, "",
		`no live session has the handle `+handle+`.*another user's`)
	wantUser(t, s.Manager, one, "ada")
	s.env.run(t, "revoke", "-handle", " "+handle+"\n").
		wants(t, 0, `^sessions ended: 1`+installation+noCache, "")
	wantUser(t, s.Manager, one, "")
	wantUser(t, s.Manager, two, "ada")
	s.env.run(t, "revoke", "-handle", handle).wants(t, 1, "", `no live session has the handle`)
	s.env.run(t, "revoke", "-user", "ada").wants(t, 0, `^sessions ended: 1`, "")
	s.env.run(t, "revoke", "-user", "ada").wants(t, 0, `^sessions ended: 0`, "")
	wantUser(t, s.Manager, two, "")
	wantUser(t, s.Manager, eves, "eve")

	// All is for a deliberate hand.
	s.env.run(t, "revoke", "-all").wants(t, 2, "",
		`nothing ended: it would end all sessions of schema pgsession in database \S+ at \S+: 1: add -yes`)
	wantUser(t, s.Manager, eves, "eve")
	s.env.run(t, "revoke", "-all", "-yes").wants(t, 0, `^sessions ended: 1`, "")
	wantUser(t, s.Manager, eves, "")
}

func TestRevokeBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	old, _ := s.login(t, "ada")
	pgtest.Exec(t, admin,
		"UPDATE pgsession.sessions SET created_at = created_at - interval '3 hours'")
	young, _ := s.login(t, "ada")
	at := time.Now().Add(-2 * time.Hour).UTC().Format(time.RFC3339)
	s.env.run(t, "revoke", "-before", at).wants(t, 2, "",
		`nothing ended: it would end the sessions that began before 2.*: 1: add -yes`)
	now := time.Now().Add(20 * time.Second).UTC().Format(time.RFC3339) // of another clock
	s.env.run(t, "revoke", "-before", now).wants(t, 2, "",
		`it would end the sessions .*: 2: add -yes`)
	for _, before := range []string{
		"200h", "1d", "99999d", "1971-01-01", "2001-01-01T00:00:00.5+02:00",
	} {
		s.env.run(t, "revoke", "-before", before, "-yes").wants(t, 0, `^sessions ended: 0`, "")
	}
	wantUser(t, s.Manager, old, "ada")
	r := s.env.run(t, "revoke", "-before", "2h", "-yes", "-json")
	r.wants(t, 0, `^{"ended":1,"committed":true,"cache":"none",`+
		`"served_for_at_most_seconds":0}\n$`, "")
	wantUser(t, s.Manager, old, "")
	wantUser(t, s.Manager, young, "ada")

	// Those that have expired end no work of anybody.
	pgtest.Exec(t, admin, `INSERT INTO pgsession.sessions
		(id, created_at, last_seen_at, expires_at, absolute_expires_at)
		VALUES (sha256('old'), now() - interval '3 h', now() - interval '3 h',
			now() - interval '1 h', now() - interval '1 h')`)
	s.env.run(t, "revoke", "-before", "2h").wants(t, 2, "", `: 0: add -yes`)
	s.env.run(t, "revoke", "-all").wants(t, 2, "", `: 1: add -yes`)
	s.env.run(t, "revoke", "-before", "2h", "-yes").wants(t, 0,
		`^sessions ended: 1, with those that had expired`+installation, "")
}

// The command's revoke is that of the library, and says so in the events.
func TestRevokeIsRecorded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, handle := s.login(t, "ada")
	s.login(t, "ada")
	s.env["SESSION_RECORD_EVENTS"] = "true"
	s.env.run(t, "revoke", "-handle", handle, "-actor", "jo", "-note", "stolen phone").
		wants(t, 0, "sessions ended: 1", "")
	s.env.run(t, "revoke", "-user", "ada").wants(t, 0, "sessions ended: 1", "")
	s.env.run(t, "revoke", "-before", "1s", "-yes").wants(t, 0, "sessions ended: 0", "")
	got := pgtest.One[string](t, pgtest.Pool(t, s.url), `SELECT string_agg(concat_ws(' ', kind, user_id,
		session, reason, actor, detail, count), '; ' ORDER BY id) FROM pgsession.events`)
	if want := "sessions revoked ada " + handle + " handle jo stolen phone; " +
		"sessions revoked ada user pgsession; sessions revoked ada user pgsession 1; " +
		"sessions revoked before pgsession; sessions revoked before pgsession 0"; got != want {
		t.Errorf("the events: %s\nwant: %s", got, want)
	}
}

// Redis has what it needs to end a session everywhere, or the command says for
// how long it may be served.
func TestRevokeReachesRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	key := strings.Repeat("0123456789abcdef", 4)
	cached := func(c *sessionstore.Config) {
		c.Cache = sessionstore.CacheConfig{
			UseRedis: true, RedisURL: sessionstore.Secret(redis.URL),
			EncryptionKeys: []sessionstore.Secret{sessionstore.Secret(key)},
			Freshness:      5 * time.Minute,
		}
	}
	s := newSite(t, cached)
	s.env["USE_REDIS_SESSIONS"], s.env["REDIS_URL"] = "true", redis.URL
	s.env["SESSION_CACHE_FRESHNESS"] = "5m"
	s.env.run(t, "revoke", "-user", "ada").wants(t, 1, "", `SESSION_ENCRYPTION_KEY`)
	s.env["SESSION_ENCRYPTION_KEY"] = key
	token, handle := s.login(t, "ada")
	other := s.instance(t, cached)
	wantUser(t, s.Manager, token, "ada")
	wantUser(t, other, token, "ada")
	s.env.run(t, "revoke", "-handle", handle).wants(t, 0,
		`^sessions ended: 1`+installation+
			`Redis has acknowledged: no instance with APP_ENV=production serves it\n$`, "")
	wantUser(t, other, token, "")

	token, _ = s.login(t, "ada")
	wantUser(t, s.Manager, token, "ada")
	s.env.run(t, "revoke", "-user", "ada").wants(t, 0,
		`^sessions ended: 1`+installation+
			`instances may serve them from the cache for at most 5m0\.25s\n$`, "")
	wantUser(t, other, token, "")

	_, handle = s.login(t, "ada")
	redis.Pause()
	s.env.run(t, "revoke", "-handle", handle).wants(t, 0,
		`^sessions ended: 1`+installation+`Redis did not acknowledge: `, `redis unavailable`)
	redis.Resume()

	_, handle = s.login(t, "ada")
	s.login(t, "ada")
	redis.Kill()
	r := s.env.run(t, "revoke", "-handle", handle)
	r.wants(t, 0, `^sessions ended: 1`+installation+
		`Redis did not acknowledge: .* at most 5m0\.25s`,
		`redis unavailable`)
	r = s.env.run(t, "revoke", "-user", "ada", "-json")
	var out struct {
		Ended  int
		Cache  string
		Served float64 `json:"served_for_at_most_seconds"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil || out.Ended != 1 ||
		out.Cache != "not acknowledged" || out.Served != 300.25 {
		t.Errorf("%v: %+v", err, out)
	}
	r.wantNoSecret(t, key, redis.URL)
}

// A row that another transaction has locked is named with its remedy, and what
// has ended is counted.
func TestRevokeBehindALockedRow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin := pgtest.Pool(t, s.url)
	for range 3 {
		s.login(t, "ada")
	}
	tx, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(),
		"SELECT id FROM pgsession.sessions LIMIT 1 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	s.env.run(t, "revoke", "-user", "ada", "-timeout", "2s").wants(t, 1, "",
		`sessions ended: 2, then: .*row locked.*pg_blocking_pids.*repeat the command`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.env.run(t, "revoke", "-user", "ada").wants(t, 0, `^sessions ended: 1`, "")
}

// A login that began before the revoke and ends after it is refused, as after
// one of the library.
func TestRevokeReachesALoginUnderWay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, args := range [][]string{
		{"-user", "ada"}, {"-all", "-yes"}, {"-before", "1h", "-yes"},
	} {
		began := time.Now()
		s.env.run(t, append([]string{"revoke"}, args...)...).wants(t, 0, `^sessions ended: 0`, "")
		_, _, err := s.Issue(t.Context(), "ada", sessionstore.ProvedAt(began))
		if err == nil {
			t.Errorf("after revoke %v a login of before is good", args)
		}
		s.login(t, "ada")
		s.env.run(t, "revoke", "-user", "ada").wants(t, 0, `^sessions ended: 1`, "")
	}
}

// A revoke goes on without a reader of its progress, and one that can't say
// what it has done has failed.
func TestRevokeWithoutAReader(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token, _ := s.login(t, "ada")
	run := func(stdout, stderr *os.File, args ...string) int {
		cmd := exec.Command(program, args...)
		cmd.Env = []string{
			"DATABASE_URL=" + s.env["DATABASE_URL"], "USE_REDIS_SESSIONS=true",
			"SESSION_ENCRYPTION_KEY=" + strings.Repeat("0123456789abcdef", 4),
			"REDIS_URL=redis://127.0.0.1:1",
		} // nothing listens: it is logged
		cmd.Stdout, cmd.Stderr = stdout, stderr
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode()
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if status := run(writer, writer, "revoke", "-user", "ada"); status != 1 {
		t.Errorf("status %d", status)
	}
	wantUser(t, s.Manager, token, "")

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full")
	}
	defer func() { _ = full.Close() }()
	for _, args := range []string{
		"-h", "ops roles", "revoke -user ada", "stats", "sessions -all", "doctor",
		"export -user ada",
		"migrate ops roles", "migrate print up", "migrate up", "migrate validate", "migrate status",
	} {
		if status := run(full, nil, strings.Fields(args)...); status != 1 {
			t.Errorf("%s on a full disk: status %d", args, status)
		}
	}
}
