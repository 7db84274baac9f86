package schema

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/internal/gen"
	"github.com/reporadar/pgsession/internal/nodes"
)

// These statements stand in Go because sqlc can't check them: the tables that
// they read belong to Citus.

// Distributed reports whether Citus distributes the sessions of a schema over
// shards. A reference table, which it copies to every node, is not distributed.
func Distributed(ctx context.Context, db gen.DBTX, schemaName string) (is bool, err error) {
	const citus = "SELECT pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL"
	if err = db.QueryRow(ctx, citus).Scan(&is); err != nil || !is {
		return false, err
	}
	const hashed = `SELECT EXISTS (
		SELECT FROM pg_catalog.pg_dist_partition
		WHERE logicalrelid::oid = pg_catalog.to_regclass($1::text || '.sessions')::oid AND partmethod = 'h'
	)`
	err = db.QueryRow(ctx, hashed, schemaName).Scan(&is)
	return is, err
}

// Shards returns the ranges of hashes of the ids, with the node of each.
func Shards(ctx context.Context, db gen.DBTX, schemaName string) ([]nodes.Shard, error) {
	const placed = `SELECT s.shardminvalue::integer, s.shardmaxvalue::integer, p.groupid
		FROM pg_catalog.pg_dist_shard AS s
		JOIN pg_catalog.pg_dist_placement AS p ON p.shardid = s.shardid AND p.shardstate = 1
		WHERE s.logicalrelid::oid = pg_catalog.to_regclass($1::text || '.sessions')::oid`
	rows, err := db.Query(ctx, placed, schemaName)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[nodes.Shard])
}

// Bytes returns the size of all shards of the sessions, without their indexes.
func Bytes(ctx context.Context, db gen.DBTX, schemaName string) (n int64, err error) {
	const size = "SELECT pg_catalog.citus_relation_size(" +
		"pg_catalog.to_regclass($1::text || '.sessions'))"
	err = db.QueryRow(ctx, size, schemaName).Scan(&n)
	return n, err
}

// Prepared returns the transactions that Citus has prepared on a node of this
// database, and has not yet committed there. Those of a commit that was
// interrupted stay until Citus recovers them. A node that does not reply is an
// error.
func Prepared(ctx context.Context, db gen.DBTX) (gids []string, err error) {
	const command = `SELECT coalesce(pg_catalog.string_agg(p.gid, ' '), '')
		FROM pg_catalog.pg_prepared_xacts AS p
		WHERE p.database = pg_catalog.current_database() AND p.gid ~~ 'citus\_%'`
	const ask = "SELECT r.success, coalesce(r.result, '')" +
		" FROM pg_catalog.run_command_on_all_nodes($1::text) AS r"
	rows, err := db.Query(ctx, ask, command)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var ok bool
		var result string
		if err := rows.Scan(&ok, &result); err != nil {
			return nil, err
		}
		if !ok {
			return nil, errNode
		}
		gids = append(gids, strings.Fields(result)...)
	}
	return gids, rows.Err()
}

// PreparedAt is Prepared for the one node that has, or would have, the row of a
// session. Functions stand for pg_prepared_xacts and current_database, since
// Citus sends no view of the catalog to a node.
func PreparedAt(ctx context.Context, db gen.DBTX, id []byte) (gids []string, err error) {
	const ask = `SELECT pg_catalog.count(*), (
			SELECT coalesce(pg_catalog.string_agg(p.gid, ' '), '')
			FROM pg_catalog.pg_prepared_xact() AS p (transaction, gid, prepared, ownerid, dbid),
				pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS a
			WHERE p.dbid OPERATOR(pg_catalog.=) a.datid
				AND p.gid OPERATOR(pg_catalog.~~) 'citus\_%'
		)
		FROM pgsession.sessions AS s WHERE s.id OPERATOR(pg_catalog.=) $1::bytea`
	var n int64
	var result string
	err = db.QueryRow(ctx, ask, id).Scan(&n, &result)
	return strings.Fields(result), err
}

// errNode has no text of the node's: it could quote values.
var errNode = errors.New("a node of Citus does not reply")

// OnCitus returns db for SessionCreate, SessionSave and SessionRotate on a
// table that Citus has distributed. It refuses them as they are, so that an
// instance that does not know of it writes no session without an entry in
// user_sessions.
func OnCitus(db gen.DBTX) gen.DBTX { return onCitus{db} }

type onCitus struct{ db gen.DBTX }

// ForCitus returns the text of a statement as OnCitus sends it. last_seen_at is
// the time of the statement, which Citus lets it return.
func ForCitus(sql string) string {
	return strings.ReplaceAll(
		sql, "pg_catalog.now()::timestamptz AS validated_at", "last_seen_at AS validated_at",
	)
}

func (c onCitus) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return c.db.Exec(ctx, ForCitus(sql), args...)
}

func (c onCitus) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return c.db.Query(ctx, ForCitus(sql), args...)
}

func (c onCitus) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return c.db.QueryRow(ctx, ForCitus(sql), args...)
}
