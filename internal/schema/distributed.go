package schema

import (
	"context"

	"github.com/reporadar/pgsession/internal/gen"
)

// The statements here stand in Go because sqlc can't check them: what they read is there where Citus is.

// Distributed tells whether Citus has spread the sessions of this schema over shards. A table that it only copies to every
// node is not distributed.
func Distributed(ctx context.Context, db gen.DBTX, schemaName string) (is bool, err error) {
	const citus = "SELECT pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL"
	if err = db.QueryRow(ctx, citus).Scan(&is); err != nil || !is {
		return false, err
	}
	const hashed = "SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_partition" +
		" WHERE logicalrelid::oid = pg_catalog.to_regclass($1::text || '.sessions')::oid AND partmethod = 'h')"
	err = db.QueryRow(ctx, hashed, schemaName).Scan(&is)
	return is, err
}

// Bytes is how large the shards are together, without their indexes.
func Bytes(ctx context.Context, db gen.DBTX, schemaName string) (n int64, err error) {
	err = db.QueryRow(ctx, "SELECT pg_catalog.citus_relation_size(pg_catalog.to_regclass($1::text || '.sessions'))", schemaName).Scan(&n)
	return n, err
}
