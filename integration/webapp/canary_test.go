package webapp_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
)

// talkative is a server that logs all it can, bound values included.
var talkative = map[string]string{
	"log_statement":                     "all",
	"log_min_duration_statement":        "0",
	"log_parameter_max_length":          "-1",
	"log_parameter_max_length_on_error": "-1",
	"log_connections":                   "on",
	"log_error_verbosity":               "verbose",
	"log_min_error_statement":           "debug5",
	"track_activity_query_size":         "65536",
}

// journey is a flow through the demo that makes, changes, rotates and ends
// sessions in every way.
type journey struct {
	t       *testing.T
	site    string
	cookies map[string]bool // every one that was ever set
}

func (j *journey) step(v *visitor, request string, status int, form ...string) {
	j.t.Helper()
	if got := v.send(request, form...); got.status != status {
		j.t.Errorf("%s: %d, want %d", request, got.status, status)
	}
	if v.cookie != "" {
		j.cookies[v.cookie] = true
	}
}

// walk runs the journey and returns the visitors who are still logged in at its
// end.
func (j *journey) walk(pool *pgxpool.Pool) []*visitor {
	anonymous, alice, bob := visit(j.t, j.site), visit(j.t, j.site), visit(j.t, j.site)
	j.step(anonymous, "POST /api/set?k=color&v=blue", http.StatusOK)
	j.step(alice, "POST /api/set?k=color&v=green", http.StatusOK)
	j.step(alice, "POST /api/login?user=alice", http.StatusOK)
	j.step(bob, "POST /login", http.StatusSeeOther, "name=bob", "password="+password, "remember=on")
	j.step(bob, "GET /", http.StatusOK)
	j.step(bob, "POST /counter", http.StatusSeeOther, "do=add")
	// So that uses are recorded.
	pgtest.Exec(j.t, pool,
		"UPDATE pgsession.sessions SET last_seen_at = last_seen_at - interval '10 minutes'")
	j.step(alice, "GET /api/me", http.StatusOK)
	j.step(bob, "GET /api/get?k=counter", http.StatusNotFound)
	j.step(bob, "POST /api/set?k=%00&v=x", http.StatusBadRequest)
	j.step(bob, "POST /api/set?k=big", http.StatusBadRequest, "v="+strings.Repeat("x", 70_000))
	j.step(alice, "POST /api/login?user=carol", http.StatusOK)
	j.step(alice, "POST /logout", http.StatusSeeOther)
	j.step(alice, "POST /api/login?user=alice", http.StatusOK)

	forger := visit(j.t, j.site)
	for _, forger.cookie = range forgeries(alice.cookie) {
		forger.want("GET /api/me", http.StatusUnauthorized, "")
	}
	forger.cookie = alice.cookie + "; " + bob.cookie // of two sessions at once
	forger.want("GET /api/me", http.StatusUnauthorized, "")

	var busy sync.WaitGroup // statements for many
	for i := range 60 {
		v := []*visitor{alice.at(j.site), bob.at(j.site)}[i%2]
		busy.Go(func() {
			if got, err := v.try(fmt.Sprintf("POST /api/set?k=k%d&v=x", i%5)); err != nil ||
				got.status != http.StatusOK {
				j.t.Errorf("set: %d %v", got.status, err)
			}
			if got, err := v.try("GET /api/me"); err != nil || got.status != http.StatusOK {
				j.t.Errorf("me: %d %v", got.status, err)
			}
		})
	}
	busy.Wait()

	ended := bob.at(j.site)
	// bob's own cookie is dead now
	j.step(ended, "POST /api/login?user=bob", http.StatusOK)
	j.step(bob, "GET /api/me", http.StatusUnauthorized)
	j.step(ended, "POST /api/logout", http.StatusOK)
	return []*visitor{alice, anonymous}
}

// No log, dump or page holds a token.
func TestTokensAreNowhereButInTheCookie(t *testing.T) {
	t.Parallel()
	tokensAreNowhere(t, "simple_protocol") // all values stand in the statements
}

// The same with statements that are prepared.
//
// Slow: the whole journey again, on a server that logs all it can.
func TestSlowTokensAreNowhereButInTheCookie(t *testing.T) {
	t.Parallel()
	tokensAreNowhere(t, "cache_statement")
}

func tokensAreNowhere(t *testing.T, modes ...string) {
	cluster := newCluster(t, talkative)
	pool := cluster.pool()
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			pgtest.Exec(t, pool, "TRUNCATE pgsession.sessions, pgsession.marks")
			a := start(t, production, withSecret, "DATABASE_URL="+
				cluster.with("application_name", "webapp", "default_query_exec_mode", mode))
			j := &journey{t: t, site: a.url, cookies: map[string]bool{}}
			alive := j.walk(pool)

			// Errors quote the values that cause them: a row that is locked for
			// too long, then connections that die.
			tx, err := pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			if _, err := tx.Exec(t.Context(),
				"SELECT FROM pgsession.sessions FOR UPDATE"); err != nil {
				t.Fatal(err)
			}
			failed := make(chan struct{})
			go func() {
				defer close(failed)
				got, err := alive[0].at(a.url).try("POST /api/set?k=stuck&v=x")
				if err != nil || got.status != http.StatusServiceUnavailable {
					t.Errorf("a change that the server gave up: %d, %v", got.status, err)
				}
			}()
			const stuck = "SELECT pid FROM pg_stat_activity WHERE application_name = 'webapp' AND wait_event_type = 'Lock'"
			testkit.Eventually(t, "the change waits", func() bool {
				return pgtest.One[int](t, pool, "SELECT count(*) FROM ("+stuck+") AS s") == 1
			})
			places := map[string]string{
				"pg_stat_activity": pgtest.One[string](t, pool,
					"SELECT coalesce(string_agg(a::text, E'\n'), '') FROM pg_stat_activity AS a"),
			}
			pgtest.Exec(t, pool, "SELECT pg_terminate_backend(("+stuck+"))")
			<-failed
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, v := range alive[:1] {
				v.want("GET /api/me", http.StatusOK, "alice")
			}
			dump := pgtest.One[string](t, pool,
				"SELECT string_agg(s::text, E'\n') FROM pgsession.sessions AS s")
			id := sha256.Sum256(tokenOf(t, alive[0].cookie))
			places["the table"] = dump
			places["the log of Postgres"] = cluster.log()
			// The search works: each place holds what it may hold.
			for place, text := range places {
				if !strings.Contains(text, hex.EncodeToString(id[:])) &&
					(place != "pg_stat_activity" || mode == "simple_protocol") {
					t.Errorf("%s does not even hold the id", place)
				}
			}
			replay(t, a, pool, alive[0])
			a.terminate()
			a.ended()
			places["the log of the app"] = a.log()
			wantSaid(t, a.log(), "session login", "session logout", "session save failed",
				"session cookie forged", "session cookie conflict")

			for place, text := range places {
				for cookie := range j.cookies {
					for i, spelling := range spellings(t, cookie) {
						if strings.Contains(text, spelling) {
							t.Errorf("%s holds a token in spelling %d", place, i)
						}
					}
				}
				if strings.Contains(text, password) {
					t.Errorf("%s holds a user's password", place)
				}
				if strings.Contains(text, secret) || strings.Contains(text,
					hex.EncodeToString(id[:])) && strings.HasPrefix(place, "the log of the app") {
					t.Errorf("%s holds a secret", place)
				}
			}
			if len(j.cookies) < 8 {
				t.Errorf("only %d cookies were looked for", len(j.cookies))
			}
		})
	}
}

// replay sends every value of the table as a cookie. With a copy of the table,
// and even the secret, an attacker gets no session.
func replay(t *testing.T, a *app, pool *pgxpool.Pool, v *visitor) {
	t.Helper()
	mine := v.at(a.url)
	mine.cookie = sign(t, tokenOf(t, v.cookie))
	mine.want("GET /api/me", http.StatusOK, "alice") // a token is what it takes

	rows, err := pool.Query(t.Context(), "SELECT s.id, v.value FROM pgsession.sessions AS s, jsonb_each_text(to_jsonb(s)) AS v WHERE v.value IS NOT NULL")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	var id []byte
	var value string
	for rows.Next() {
		if err := rows.Scan(&id, &value); err != nil {
			t.Fatal(err)
		}
		value = strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) {
				return -1
			}
			return r
		}, value)
		sum := sha256.Sum256([]byte(value))
		padded := append([]byte(value), make([]byte, 32)...)[:32]
		for _, cookie := range []string{
			cookieName + "=" + value,
			cookieName + "=" + base64.RawURLEncoding.EncodeToString(id),
			sign(t, id), sign(t, sum[:]), sign(t, padded),
		} {
			tried[cookie] = true
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(tried) < 20 {
		t.Errorf("only %d values were tried", len(tried))
	}
	for cookie := range tried {
		thief := visit(t, a.url)
		thief.cookie = cookie
		if got := thief.send("GET /api/me"); got.status != http.StatusUnauthorized {
			t.Errorf("a value of the table got in: %d", got.status)
		}
	}
}
