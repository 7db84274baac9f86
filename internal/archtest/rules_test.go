package archtest

const module = "github.com/reporadar/pgsession"

// demo is the folder of the demo, a module of its own. Its rules are here too.
const demo = "examples/webapp"

// imports lists for each package of the root module what it may import in
// addition to the standard library. "x/..." means x and everything below it.
var imports = map[string][]string{
	module:            {}, // its page on pkg.go.dev
	"internal/batch":  {},
	"internal/nodes":  {},
	"internal/output": {},
	"internal/gen":    {"github.com/jackc/pgx/v5/..."},
	"internal/schema": {
		module + "/internal/gen", module + "/internal/nodes", "github.com/jackc/pgx/v5/...",
	},
	"internal/dburl":      {"github.com/jackc/pgx/v5/..."},
	"internal/secretfile": {},
	"internal/variable":   {},
	"internal/archtest":   {},
	"internal/coherence":  {},
	"internal/keyring":    {},
	"internal/cachetest": {
		module + "/cache", module + "/internal/coherence",
		module + "/sessionstore/store", module + "/sessionstore/storetest/fault",
	},
	"internal/fieldtest":  {module + "/sessionstore/store"},
	"internal/memorytest": {module + "/internal/memory", module + "/sessionstore/store"},
	"internal/outagetest": {
		module + "/internal/cached", module + "/internal/cachetest", module + "/internal/coherence",
		module + "/internal/memory", module + "/internal/outage",
		module + "/sessionstore/store", module + "/sessionstore/storetest/fault",
	},
	"db": {
		"github.com/pressly/goose/v3/...", "github.com/jackc/pgx/v5/...",
		module + "/internal/schema",
	},
	"cmd/migrate":   {module + "/internal/migrate"},
	"cmd/pgsession": {module + "/internal/operator"},
	"internal/operator": {
		module + "/cache", module + "/db", module + "/internal/dburl",
		module + "/internal/migrate", module + "/internal/output", module + "/internal/postgres",
		module + "/internal/schema", module + "/internal/variable",
		module + "/sessionstore", module + "/sessionstore/store",
		"github.com/jackc/pgx/v5/...",
	},
	"internal/migrate": {
		module + "/db", module + "/internal/dburl", module + "/internal/output",
		module + "/internal/pgsimple", module + "/internal/secretfile",
		module + "/sessionstore/store", "github.com/jackc/pgx/v5/...",
	},
	"internal/pgsimple": {
		module + "/internal/object", module + "/internal/postgres", module + "/internal/schema",
		module + "/legacy", module + "/sessionstore/store", "github.com/jackc/pgx/v5/...",
	},
	"cache": {
		"github.com/redis/go-redis/v9/...", module + "/internal/batch",
		module + "/internal/keyring",
	},
	"internal/object": {},
	"internal/trace":  {module + "/sessionstore/store"},
	"internal/client": {module + "/sessionstore/store"},
	"internal/cookie": {
		module + "/sessionstore/store", module + "/internal/keyring", module + "/legacy",
	},
	"internal/memory": {module + "/sessionstore/store", module + "/internal/object"},
	"internal/postgres": {
		"github.com/jackc/pgx/v5/...", module + "/sessionstore/store", module + "/internal/batch",
		module + "/internal/coherence", module + "/internal/gen", module + "/internal/keyring",
		module + "/internal/nodes", module + "/internal/object",
		module + "/internal/schema", module + "/internal/trace",
	},
	"internal/cached": {
		module + "/sessionstore/store", module + "/cache", module + "/internal/coherence",
		module + "/internal/local", module + "/internal/trace",
	},
	"internal/local": {module + "/sessionstore/store", module + "/internal/coherence"},
	"internal/outage": {
		module + "/sessionstore/store", module + "/internal/coherence", module + "/internal/memory",
	},
	"sessionstore": {
		"github.com/jackc/pgx/v5/...", "github.com/mileusna/useragent", module + "/cache",
		module + "/internal/cached", module + "/internal/client", module + "/internal/coherence",
		module + "/internal/cookie", module + "/internal/dburl", module + "/internal/memory",
		module + "/internal/object", module + "/internal/outage", module + "/internal/postgres",
		module + "/internal/schema", module + "/internal/secretfile", module + "/internal/trace",
		module + "/internal/variable",
		module + "/legacy", module + "/legacy/express", module + "/sessionstore/store",
	},
	"adapters/scsstore": {
		"github.com/jackc/pgx/v5/...", module + "/internal/postgres", module + "/internal/schema",
		module + "/sessionstore/store",
	},
	"sessionstore/store": {module + "/internal/coherence"},
	"legacy":             {module + "/sessionstore/store"},
	"legacy/express": {
		module + "/legacy", module + "/sessionstore/store", module + "/internal/object",
		"github.com/jackc/pgx/v5/...", "github.com/redis/go-redis/v9/...",
	},
	"sessionstore/storetest": {module + "/sessionstore/store", module + "/internal/fieldtest"},

	"sessionstore/storetest/fault": {module + "/sessionstore/store"},
	"sessionstore/sessiontest": {
		module + "/internal/memory", module + "/sessionstore",
		module + "/sessionstore/storetest/fault",
	},

	"examples/hello": {module + "/sessionstore"},
	"examples/login": {module + "/sessionstore"},
	demo: {
		module + "/sessionstore", "github.com/jackc/pgx/v5/...", "github.com/pquerna/otp/...",
	},
}

// never lists what must not be a dependency of a package, not even an indirect
// one.
var never = map[string][]string{
	"sessionstore": {
		module + "/db", "github.com/pressly/goose/v3", "testing",
		module + "/sessionstore/storetest", module + "/sessionstore/sessiontest",
	},
	demo: {module + "/db", "testing", module + "/sessionstore/storetest"},

	"sessionstore/storetest/fault": {module + "/sessionstore", "testing"},

	"adapters/scsstore": {module + "/sessionstore", "testing"},

	"cmd/migrate": {module + "/sessionstore", "testing", "github.com/redis/go-redis/v9"},
	"db":          {module + "/sessionstore", "testing"},
	"cache":       {module + "/sessionstore", "testing", "github.com/jackc/pgx/v5"},
}

// maxLines limits files that are neither tests nor generated.
const maxLines = 500
