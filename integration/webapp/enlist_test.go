package webapp_test

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/integration/pgtest"
)

// enlist creates users whose password costs few rounds to check. With those of
// production, a login on a busy machine takes longer than the demo's
// WriteTimeout.
func enlist(t testing.TB, pool *pgxpool.Pool, site string, users ...string) {
	t.Helper()
	// The tables come with the first login. A password that is too short costs
	// no rounds.
	got := visit(t, site).send("POST /login", "name=carol", "password=x")
	if got.status != http.StatusUnprocessableEntity {
		t.Fatalf("a password that is too short: %d", got.status)
	}
	const rounds = 10
	salt := []byte("16 bytes of salt")
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawStdEncoding.EncodeToString
	hash := fmt.Sprintf("pbkdf2-sha256$%d$%s$%s", rounds, encode(salt), encode(key))
	for _, user := range users {
		pgtest.Exec(t, pool, "INSERT INTO webapp.users (name, password) VALUES ($1, $2)",
			user, hash)
	}
}
