package operator

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/db"
	"github.com/reporadar/pgsession/internal/dburl"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

const (
	defaultSchema = schema.Default
	// oldestServer is the oldest Postgres that the library works with.
	oldestServer = 150_000
	// clockAllowance is how far the clock of this machine may be off.
	clockAllowance = time.Second
)

// connection checks that Postgres answers, and which one.
func (p *patient) connection(ctx context.Context) bool {
	const check = "connection"
	pool, err := openPool(&p.cfg)
	if err == nil {
		p.pool = pool
		err = pool.Ping(ctx)
	}
	if err != nil {
		p.add(check, wrong, oneLine(err), connectionRemedy(err))
		return false
	}
	var number int
	var version, role, database string
	var super bool
	const who = `SELECT pg_catalog.current_setting('server_version_num')::integer,
		pg_catalog.current_setting('server_version'), current_user::text,
		pg_catalog.current_database()::text,
		(SELECT r.rolsuper FROM pg_catalog.pg_roles AS r
			WHERE r.rolname OPERATOR(pg_catalog.=) current_user)`
	if err := pool.QueryRow(ctx, who).Scan(
		&number, &version, &role, &database, &super,
	); err != nil {
		p.addError(check, err, "")
		return false
	}
	detail := fmt.Sprintf("Postgres %s at %s, database %s, role %s", version,
		pool.Config().ConnConfig.Host, database, role)
	if number < oldestServer {
		p.add(check, wrong, detail, "pgsession needs Postgres 15 or later: upgrade the server")
		return true
	}
	p.add(check, fine, detail, "")
	if super {
		p.add(check, note, "role "+role+" is a superuser, which an application need not be",
			p.piped("ops roles")+", and give the application the role "+p.schema+"_app")
	}
	return true
}

// connectionRemedy returns what to do about a connection that failed.
func connectionRemedy(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "53300":
			return "end idle connections, or raise max_connections and the" +
				" CONNECTION LIMIT of the role and the database"
		case "28000":
			return "correct the role in DATABASE_URL, or ALTER ROLE … LOGIN, or add a line for it" +
				" to pg_hba.conf"
		case "28P01":
			return "correct user and password in DATABASE_URL"
		case "3D000":
			return "create the database, or correct its name in DATABASE_URL"
		}
	}
	return "start the server, or set DATABASE_URL right"
}

// command returns a command line for the schema of the patient.
func (p *patient) command(words string) string {
	if p.schema != defaultSchema {
		return "pgsession " + words + " -schema " + p.schema
	}
	return "pgsession " + words
}

// piped returns a command line that runs a file of db/ops.
func (p *patient) piped(words string) string {
	return p.command(words) + ` | psql "$DATABASE_URL"`
}

// clock compares the clock of this machine with that of Postgres.
func (p *patient) clock(ctx context.Context) {
	const check = "clock"
	var at time.Time
	before := p.now()
	err := p.pool.QueryRow(ctx, "SELECT pg_catalog.clock_timestamp()").Scan(&at)
	after := p.now()
	off := time.Duration(0)
	switch {
	case err != nil:
		p.addError(check, err, "")
		return
	case at.Before(before):
		off = before.Sub(at)
	case at.After(after):
		off = after.Sub(at)
	}
	if off.Abs() > clockAllowance {
		p.add(check, wrong, fmt.Sprintf("the clock here is %v ahead of that of Postgres", off),
			"set both by NTP, that of Postgres first: it decides when a session ends")
		return
	}
	p.add(check, fine, "the clock here and that of Postgres agree", "")
}

// pooler looks for a pooler that mixes connections up.
func (p *patient) pooler(ctx context.Context) {
	const check = "pooler"
	pg, err := postgres.NewIn(p.pool, p.schema, store.Expiry{Idle: time.Hour, Absolute: time.Hour},
		storeTimeout)
	found := false
	if err == nil {
		found, err = pg.BehindPooler(ctx)
	}
	switch {
	case err != nil:
		p.addError(check, err, "")
	case found:
		p.add(check, note, "there is one between here and Postgres", postgres.PoolerAdvice)
	default:
		p.add(check, fine, "none that passes prepared statements on", "")
	}
}

// setting is a value that an installation should not have.
type setting struct {
	name   string
	bad    []string
	state  string
	detail string
	remedy string
}

var serverSettings = []setting{
	{
		"fsync",
		[]string{"off"},
		wrong, "a crash of the server can destroy the database",
		"ALTER SYSTEM SET fsync = on; SELECT pg_catalog.pg_reload_conf()",
	},
	{
		"full_page_writes",
		[]string{"off"},
		wrong,
		"a crash of the server can destroy the database",
		"ALTER SYSTEM SET full_page_writes = on; SELECT pg_catalog.pg_reload_conf()",
	},
	{
		"synchronous_commit",
		[]string{"off"},
		wrong,
		"a crash can undo a logout that was acknowledged",
		"set it on for the role, the database and the server",
	},
	{
		"autovacuum",
		[]string{"off"},
		wrong, "nothing removes dead rows, and tables grow",
		"ALTER SYSTEM SET autovacuum = on; SELECT pg_catalog.pg_reload_conf()",
	},
	{
		"track_counts",
		[]string{"off"},
		wrong, "autovacuum does not see dead rows",
		"ALTER SYSTEM SET track_counts = on; SELECT pg_catalog.pg_reload_conf()",
	},
	{
		"idle_in_transaction_session_timeout",
		[]string{"0"},
		note,
		"a forgotten transaction of this role keeps dead rows for as long as it is open",
		"ALTER ROLE … SET idle_in_transaction_session_timeout = '30s', or a longer one",
	},
}

// settings checks those that cost data, or let tables grow.
func (p *patient) settings(ctx context.Context) {
	const check = "settings"
	before := len(p.findings)
	for _, s := range serverSettings {
		var value string
		if err := p.pool.QueryRow(ctx, "SELECT pg_catalog.current_setting($1::text)", s.name).
			Scan(&value); err != nil {
			p.addError(check, err, "")
			continue
		}
		for _, bad := range s.bad {
			if value == bad {
				p.add(check, s.state, s.name+" is "+value+": "+s.detail, s.remedy)
			}
		}
	}
	var room, wanted int
	const slots = `SELECT pg_catalog.current_setting('max_connections')::integer
		OPERATOR(pg_catalog.-) pg_catalog.current_setting('superuser_reserved_connections')::integer`
	if err := p.pool.QueryRow(ctx, slots).Scan(&room); err != nil {
		p.addError(check, err, "")
	} else if wanted = p.poolSize(); wanted > room {
		p.add(check, wrong, fmt.Sprintf("one instance may take %d connections, and the server"+
			" gives out %d", wanted, room),
			"a smaller pool_max_conns in DATABASE_URL, or a larger max_connections")
	}
	if len(p.findings) == before {
		p.add(check, fine, "none that loses data or lets tables grow", "")
	}
}

// poolSize returns how many connections an application takes with the URL.
func (p *patient) poolSize() int {
	pc, err := dburl.Parse(string(p.cfg.DatabaseURL))
	if err != nil {
		return 0
	}
	return int(pc.MaxConns)
}

// shape compares the schema with the migrations, and reports whether there is
// enough of it for further checks.
func (p *patient) shape(ctx context.Context) bool {
	const check = "schema"
	err := db.Validate(ctx, p.pool, db.Options{Schema: p.schema})
	var mismatch *db.Mismatch
	switch {
	case err == nil:
		p.add(check, fine, "schema "+p.schema+" is what this version of pgsession needs", "")
	case errors.As(err, &mismatch):
		for _, difference := range mismatch.Differences {
			p.add(check, wrong, difference, p.schemaRemedy(ctx, difference))
		}
	default:
		p.addError(check, err, "")
	}
	p.unseen(ctx)
	var there bool
	err = p.pool.QueryRow(ctx, "SELECT pg_catalog.to_regclass($1::text) IS NOT NULL",
		p.schema+".sessions").Scan(&there)
	return err == nil && there
}

// schemaRemedy returns what to do about a difference. A migration that is
// applied makes nothing again.
func (p *patient) schemaRemedy(ctx context.Context, difference string) string {
	up, made := p.command("migrate up"), p.command("migrate print up")
	database, library, err := db.Version(ctx, p.pool, db.Options{Schema: p.schema})
	switch {
	case difference == "schema "+p.schema+" is missing":
		return up + "; or set SESSION_SCHEMA right, if the sessions are in another schema"
	case err == nil && database >= library:
		return "every migration is applied, so it was changed by hand: undo that, by what `" +
			made + "` prints"
	}
	return up + "; if that changes nothing it was changed by hand: undo that, by what `" + made +
		"` prints"
}

// unseen reports what the comparison of the schema has left out.
func (p *patient) unseen(ctx context.Context) {
	const check, left = "schema", "the bodies of functions were not compared: "
	states, err := db.Status(ctx, p.pool, db.Options{Schema: p.schema})
	if err != nil {
		p.add(check, note, "the list of migrations and "+left+oneLine(err),
			"run it again as the owner of the schema")
		return
	}
	for _, s := range states {
		if s.Name == "" {
			p.add(check, note, left+"a newer version of pgsession has migrated",
				"run the doctor of that version")
			return
		}
	}
}

// owners reports whether no statement on the tables can run the code of a role
// with fewer rights. All checks but that of the alarms read the catalog alone.
func (p *patient) owners(ctx context.Context) bool {
	const check = "owners"
	err := checkOwners(ctx, p.pool, p.schema)
	var lesser *schema.LesserOwner
	switch {
	case err == nil:
		p.add(check, fine, "no statement here runs the code of a role with fewer rights", "")
	case errors.As(err, &lesser):
		p.add(check, wrong, lesser.Problem()+": the alarms were not looked at",
			lesser.Remedy()+"; for good, "+p.piped("ops roles"))
	default:
		p.addError(check, err, "")
	}
	return err == nil
}

// role checks what the role of DATABASE_URL may do. It is that of the
// application, or a member of it.
func (p *patient) role(ctx context.Context) {
	const check = "rights"
	err := schema.CheckPath(ctx, p.pool)
	if err == nil {
		err = schema.CheckRole(ctx, p.pool, p.schema)
	}
	var unfit *schema.Unfit
	switch {
	case err == nil:
		p.add(check, fine, "the role has those that the application needs", "")
	case errors.As(err, &unfit):
		problems := unfit.Problems
		if unfit.Standby {
			p.onStandby(ctx, problems[0])
			if problems = problems[1:]; len(problems) == 0 {
				p.add(check, fine, "the role has those that the application needs", "")
			}
		}
		for _, problem := range problems {
			detail, remedy, _ := strings.Cut(problem, ": ")
			remedy = strings.Replace(remedy, schema.RunRoles,
				p.piped("ops roles")+" as a superuser, or as the role that deploys", 1)
			p.add(check, wrong, "no application can work with this role: "+detail, remedy)
		}
	default:
		p.addError(check, err, "")
	}
}

// onStandby reports that the server is a standby. No application works there,
// but an operator may look.
func (p *patient) onStandby(ctx context.Context, problem string) {
	const check = "standby"
	detail, remedy, _ := strings.Cut(problem, ": ")
	s, err := standbyOf(ctx, p.pool)
	switch {
	case err != nil:
		p.addError(check, err, "")
	case s != nil: // it may have been promoted meanwhile
		p.add(check, note, detail+": "+s.String()+"; it does not count dead and changed rows",
			"look at the primary too; for an application "+remedy)
	}
}

// alarms runs db/ops/alarms.sql.
func (p *patient) alarms(ctx context.Context) {
	const check = "alarms"
	text, err := db.Ops("alarms", db.Options{Schema: p.schema})
	if err != nil {
		p.addError(check, err, "")
		return
	}
	rows, err := p.pool.Query(ctx, text, pgx.QueryExecModeSimpleProtocol)
	n := 0
	if err == nil {
		var alarm, detail, advice string
		_, err = pgx.ForEachRow(rows, []any{&alarm, &detail, &advice}, func() error {
			p.add(alarm, wrong, detail, advice)
			n++
			return nil
		})
	}
	if err != nil {
		p.addError(check, err, p.piped("ops roles")+", and a role that is a member of "+
			p.schema+"_app or "+p.schema+"_monitor")
		return
	}
	if n == 0 {
		p.add(check, fine, "prune, dead rows, old transactions, transaction ids, collation,"+
			" indexes, statistics, slots: no alarm", "")
	}
	var sees bool
	const monitor = `SELECT pg_catalog.pg_has_role(current_user::name, 'pg_monitor', 'USAGE')`
	if err := p.pool.QueryRow(ctx, monitor).Scan(&sees); err == nil && !sees {
		p.add(check, note, "this role does not see the transactions of others, and no standby",
			"run it again as a member of pg_monitor or as a superuser")
	}
}

// replication reports the standbys, and one that is far behind.
func (p *patient) replication(ctx context.Context) {
	const check = "replication"
	const standbys = `
		SELECT coalesce(r.application_name, ''), coalesce(r.sync_state, ''),
			coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn), 0)::bigint
		FROM pg_catalog.pg_stat_replication AS r
		WHERE NOT pg_catalog.pg_is_in_recovery() AND r.sync_state IS NOT NULL
		ORDER BY 1`
	rows, err := p.pool.Query(ctx, standbys)
	var names []string
	if err == nil {
		var name, state string
		var behind int64
		_, err = pgx.ForEachRow(rows, []any{&name, &state, &behind}, func() error {
			names = append(names, name+" ("+state+")")
			if behind > maxBehind {
				p.add(check, note, fmt.Sprintf("standby %s is %d MB behind", name, behind>>20),
					"look at its log and its network; after a failover to it, later changes are lost")
			}
			return nil
		})
	}
	switch {
	case err != nil:
		p.addError(check, err, "")
	case len(names) == 0:
		p.add(check, fine, "no standby that this role can see", "")
	default:
		p.add(check, fine, "standbys: "+strings.Join(names, ", "), "")
	}
}

// maxBehind is how many bytes of WAL a standby may have to replay.
const maxBehind = 256 << 20

// redis checks that the cache of the environment can be read and written.
func (p *patient) redis(ctx context.Context) {
	const check = "redis"
	if !p.cfg.Cache.UseRedis {
		p.add(check, fine, "USE_REDIS_SESSIONS is not set here: no cache to look at", "")
		return
	}
	defer cache.LogClients(slog.New(slog.DiscardHandler))() // the finding has the error
	client, err := cache.Dial(string(p.cfg.Cache.RedisURL))
	if err != nil {
		p.add(check, wrong, oneLine(err), "set REDIS_URL right")
		return
	}
	defer func() { _ = client.Close() }()
	keys := make([][]byte, len(p.cfg.Cache.EncryptionKeys))
	for i, key := range p.cfg.Cache.EncryptionKeys {
		keys[i], _ = hex.DecodeString(string(key)) // the Config was checked
	}
	c, err := cache.New(client, cache.Config{
		Namespace: p.schema + ":doctor:", Keys: keys, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		p.addError(check, err, "")
		return
	}
	defer func() { _ = c.Close() }()
	if err := c.Ping(ctx); err != nil {
		p.add(check, wrong, oneLine(err),
			"no request fails, Postgres serves. Start it, or set REDIS_URL right; if it refuses"+
				" writes look at INFO replication and INFO memory, and give its user EVALSHA")
		return
	}
	p.add(check, fine, "it takes and returns an entry", "")
}
