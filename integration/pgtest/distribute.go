package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Distribute makes the catalog of a database claim that Citus has distributed
// Distribute makes the catalog of a database claim that Citus has distributed
// the sessions over two nodes, the first of which has the hashes below zero,
// and enters those that are there. A store then sends the statements for Citus,
// and Postgres runs them on a plain table. integration/citus has the real one,
// where it is installed.
func Distribute(t testing.TB, admin *pgxpool.Pool) {
	t.Helper()
	Exec(t, admin, `
		SET LOCAL allow_system_table_mods = on;
		CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char");
		INSERT INTO pg_catalog.pg_dist_partition VALUES ('pgsession.sessions', 'h');
		GRANT SELECT ON pg_catalog.pg_dist_partition TO PUBLIC;
		CREATE TABLE pg_catalog.pg_dist_shard (
			logicalrelid regclass, shardid bigint, shardminvalue text, shardmaxvalue text);
		INSERT INTO pg_catalog.pg_dist_shard VALUES
			('pgsession.sessions', 101, '-2147483648', '-1'),
			('pgsession.sessions', 102, '0', '2147483647');
		CREATE TABLE pg_catalog.pg_dist_placement (shardid bigint, shardstate integer, groupid integer);
		INSERT INTO pg_catalog.pg_dist_placement VALUES (101, 1, 1), (102, 1, 2);
		GRANT SELECT ON pg_catalog.pg_dist_shard, pg_catalog.pg_dist_placement TO PUBLIC;
		CREATE FUNCTION pg_catalog.citus_relation_size(logicalrelid regclass) RETURNS bigint
			LANGUAGE sql AS 'SELECT pg_catalog.pg_relation_size($1)';
		CREATE FUNCTION pg_catalog.run_command_on_all_nodes(command text)
			RETURNS TABLE (nodeid integer, success boolean, result text)
			LANGUAGE sql AS 'SELECT 1, true, NULL::text';`+Enter, pgx.QueryExecModeSimpleProtocol)
}
