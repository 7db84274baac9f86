package schema

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

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

// errNode has no text of the node's: it could quote values.
var errNode = errors.New("a node of Citus does not reply")
