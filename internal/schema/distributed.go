package schema

import (
	"context"

	"github.com/reporadar/pgsession/internal/gen"
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

// Bytes returns the size of all shards of the sessions, without their indexes.
func Bytes(ctx context.Context, db gen.DBTX, schemaName string) (n int64, err error) {
	const size = "SELECT pg_catalog.citus_relation_size(" +
		"pg_catalog.to_regclass($1::text || '.sessions'))"
	err = db.QueryRow(ctx, size, schemaName).Scan(&n)
	return n, err
}
