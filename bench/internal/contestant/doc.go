// Package contestant holds what is compared below HTTP: each library's way to
// load a session by its key, to save one changed value, and to log in. All have
// the same interface, and their files are alike.
//
// Each contestant has the pool that suits it best on two cores, with all
// connections opened beforehand:
//   - Postgres: 16 connections (rows.Connections). The library uses a few of
//     them.
//   - go-redis: its default of 10 for each core; AutoPipeline has its own.
//   - redigo, under gorilla: as many idle connections as callers, without the
//     PING before each use, which is its default.
package contestant
