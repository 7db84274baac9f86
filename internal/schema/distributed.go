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
		" WHERE logicalrelid = pg_catalog.to_regclass($1::text || '.sessions') AND partmethod = 'h')"
	err = db.QueryRow(ctx, hashed, schemaName).Scan(&is)
	return is, err
}

// Size is what the shards come to together.
type Size struct {
	Bytes int64 // of the heap
	Rows  int64 // as of the last ANALYZE of each, scaled to its size of now
}

// ShardSizes asks every node.
func ShardSizes(ctx context.Context, db gen.DBTX, schemaName string) (s Size, err error) {
	const sizes = `
		SELECT coalesce(sum(split_part(result, ' ', 1)::bigint), 0)::bigint, coalesce(sum(split_part(result, ' ', 2)::double precision), 0)::bigint
		FROM pg_catalog.run_command_on_shards($1::text || '.sessions', $$
			SELECT pg_relation_size(oid) || ' ' || greatest(reltuples, 0) / greatest(relpages, 1) * (pg_relation_size(oid) / current_setting('block_size')::bigint)
			FROM pg_catalog.pg_class WHERE oid = '%s'::regclass $$)`
	err = db.QueryRow(ctx, sizes, schemaName).Scan(&s.Bytes, &s.Rows)
	return s, err
}
