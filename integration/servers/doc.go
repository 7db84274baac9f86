// Package servers provides the Postgres and the Redis that tests, benchmarks
// and the demo run on, with whatever the machine has.
//
// # Ways
//
// The first way that works is taken:
//
//  1. A server the environment names: DATABASE_URL and REDIS_URL, and with
//     [Options.Test] TEST_DATABASE_URL and TEST_REDIS_URL before them. A named
//     server that does not answer is an error: naming it was a choice.
//  2. A container, when a Docker engine answers and has the image or can pull
//     it. PGSESSION_POSTGRES_IMAGE and PGSESSION_REDIS_IMAGE name other images.
//     The default images are named by tag: a test runs on the newest patch
//     release of its major version, as an upgraded server would.
//  3. The server programs on this machine, on a throwaway cluster.
//  4. Postgres from npm, kept in the user's cache folder.
//  5. On Debian and Ubuntu, as root: the distribution's packages.
//
// If [Options.PostgresVersion] selects one major version, servers in the
// environment are ignored and the exact versions from npm come first.
//
// [Cron] has ways of its own: pg_cron is not in the usual images, nor in npm's.
//
// # What is left behind
//
// [Server.Close] ends the server and removes its files. On Linux server
// programs also end when this program is killed. Their temporary folder stays
// then. The next server that keeps its data in memory removes such folders in
// memory. A container ends by itself after 12 hours. Downloads of way 4 and
// packages of way 5 stay.
//
// # What is reachable
//
// Every server started here listens on loopback only and wants a random
// password. A Postgres started here need not survive a power cut: fsync is off
// unless [Options.Settings] turns it on. With fsync off the data is in /dev/shm
// if that has 4 GiB free, unless TMPDIR names another place.
package servers
