package sessionstore_test

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/legacy/express"
	"github.com/reporadar/pgsession/sessionstore"
)

// The users of an Express application stay logged in. Its sessions are in Redis
// and, behind that, in Postgres.
func ExampleLegacyConfig() {
	const secret, olderSecret = "the option secret of express-session", "its second element"
	var cfg sessionstore.Config
	var client *redis.Client // of the Express application's Redis
	var pool *pgxpool.Pool   // of its Postgres
	until := time.Date(2030, time.January, 31, 0, 0, 0, 0, time.UTC)
	cfg.Legacy = sessionstore.LegacyConfig{
		Cookie: express.NewCookie("reporadar.sid", secret, olderSecret),
		Store: legacy.Chain(
			express.ConnectRedis(client, express.RedisOptions{}),
			express.ConnectPgSimple(pool, express.PgOptions{TimeZone: "UTC"}),
		),
		Until: until,
	}
	fmt.Println(cfg.Legacy.Cookie.Name())
	// Output: reporadar.sid
}
