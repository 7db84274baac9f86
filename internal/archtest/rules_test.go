package archtest

const module = "github.com/reporadar/pgsession"

// imports says, for each package of the root module, what it may import beside the standard library. "x/..." is x and
// everything below it.
var imports = map[string][]string{
	"internal/batch":     {},
	"internal/gen":       {"github.com/jackc/pgx/v5/..."},
	"internal/schema":    {module + "/internal/gen", "github.com/jackc/pgx/v5/..."},
	"internal/dburl":     {"github.com/jackc/pgx/v5/..."},
	"internal/archtest":  {},
	"internal/coherence": {},
	"db": {
		"github.com/pressly/goose/v3/...", "github.com/jackc/pgx/v5/...",
		module + "/internal/schema",
	},
	"cmd/migrate": {module + "/db", module + "/internal/dburl", "github.com/jackc/pgx/v5/..."},
	"cache":       {"github.com/redis/go-redis/v9/...", module + "/internal/batch"},
	"sessionstore": {
		"github.com/jackc/pgx/v5/...", "github.com/mileusna/useragent", module + "/cache", module + "/internal/coherence",
		module + "/internal/batch", module + "/internal/gen", module + "/internal/schema", module + "/internal/dburl",
	},
	"sessionstore/storetest": {module + "/sessionstore"},
	"examples/hello":         {module + "/sessionstore"},
	"examples/webapp":        {module + "/sessionstore", "github.com/jackc/pgx/v5/..."},
}

// files says which files of sessionstore alone may import a package. Tests are free.
var files = map[string][]string{
	"github.com/jackc/pgx/v5":         {"postgres_class.go", "postgres_load.go", "postgres_binary.go", "postgres_rows.go", "postgres_owner.go", "postgres_locked.go", "postgres_plan.go", "postgres_pooler.go", "postgres_settings.go", "postgres_standby.go", "postgres.go", "transaction.go"},
	"github.com/jackc/pgx/v5/pgconn":  {"postgres.go", "postgres_class.go", "postgres_error.go", "postgres_binary.go", "postgres_plan.go", "postgres_settings.go", "postgres_standby.go"},
	"github.com/jackc/pgx/v5/pgtype":  {"postgres_rows.go", "postgres_binary.go"},
	"github.com/jackc/pgx/v5/pgxpool": {"postgres_plan.go", "postgres.go", "postgres_rows.go", "postgres_owner.go", "postgres_distributed.go", "postgres_error.go", "postgres_locked.go", "postgres_pooler.go", "postgres_standby.go", "open.go"},
	module + "/cache":                 {"cached.go", "cached_fill.go", "cached_revoke.go", "chain.go"},
	module + "/internal/coherence": {
		"cached.go", "cached_fill.go", "cached_revoke.go", "touched.go", "chain.go", "emergency.go", "recovery.go", "move.go", "transaction.go",
		"postgres_revoke.go", "mark.go",
	},
	"github.com/mileusna/useragent": {"device.go"},
	module + "/internal/gen":        {"postgres.go", "postgres_rows.go", "postgres_load.go", "postgres_owner.go", "postgres_revoke.go", "postgres_mark.go", "postgres_distributed.go"},
	module + "/internal/dburl":      {"open.go"},
	module + "/internal/schema":     {"postgres.go", "postgres_distributed.go", "postgres_class.go", "postgres_error.go", "config.go"},
	module + "/internal/batch":      {"postgres.go", "postgres_batch.go", "postgres_locked.go", "postgres_mark.go", "postgres_stats.go"},
	"net/http": {
		"middleware.go", "writer.go", "refused.go", "bypass.go", "exchange.go", "identify.go", "withheld.go", "spellings.go", "cookie.go", "cookieconfig.go", "health.go", "metadata.go", "fresh.go", "shared_cache.go",
	},
	"os":            {"env.go"},
	"syscall":       {"postgres_class.go"},
	"crypto/tls":    {"postgres_class.go"},
	"crypto/x509":   {"postgres_class.go"},
	"math/rand/v2":  {"pruner.go"},
	"crypto/rand":   {"token.go"},
	"crypto/sha256": {"token.go", "mark.go", "cookie.go", "mac.go"},
	"crypto/hmac":   {"cookie.go", "mac.go"},
	"crypto/hkdf":   {"cookie.go"},
}

// never says what must not be among a package's dependencies, however far down.
var never = map[string][]string{
	"sessionstore":    {module + "/db", "github.com/pressly/goose/v3", "testing", module + "/sessionstore/storetest"},
	"examples/webapp": {module + "/db", "testing", module + "/sessionstore/storetest"},
	"cmd/migrate":     {module + "/sessionstore", "testing"},
	"db":              {module + "/sessionstore", "testing"},
	"cache":           {module + "/sessionstore", "testing", "github.com/jackc/pgx/v5"},
}

// maxLines bounds a hand-written file that is not a test.
const maxLines = 500

// notYetShort lists the directories whose lines may still pass the widths of
// TestLinesAreShort. It only gets shorter. A directory that sessionstore's files
// have yet to move to is listed before it is there.
var notYetShort = []string{
	"bench/cmd/bench",
	"bench/cmd/churn",
	"bench/internal/allocations",
	"bench/internal/contestant",
	"bench/internal/load",
	"bench/internal/measure",
	"bench/internal/result",
	"bench/internal/rope",
	"bench/internal/rows",
	"bench/internal/site",
	"bench/internal/suite",
	"cache",
	"cmd/migrate",
	"db",
	"examples/hello",
	"examples/webapp",
	"integration/browser",
	"integration/cache",
	"integration/chain",
	"integration/citus",
	"integration/cmd/provide",
	"integration/failover",
	"integration/gin",
	"integration/hijack",
	"integration/internal/process",
	"integration/internal/testkit",
	"integration/migrate",
	"integration/ops",
	"integration/outage",
	"integration/owner",
	"integration/pgtest",
	"integration/pooler",
	"integration/redistest",
	"integration/servers",
	"integration/store",
	"integration/telemetry",
	"integration/webapp",
	"internal/archtest",
	"internal/batch",
	"internal/cached",
	"internal/client",
	"internal/coherence",
	"internal/cookie",
	"internal/dburl",
	"internal/memory",
	"internal/outage",
	"internal/postgres",
	"internal/schema",
	"internal/trace",
	"otelsession",
	"sessionstore",
	"sessionstore/store",
	"sessionstore/storetest",
	"sessionstore/storetest/fault",
	"tools/house",
}
