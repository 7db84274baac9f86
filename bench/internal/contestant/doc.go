// Package contestant holds what is compared below HTTP: each library's way to load a session by its key, to save one
// changed value, and to log in. All of them look the same from outside; the files mirror each other.
//
// Everybody gets the pool that suits them best on two cores, with all connections made beforehand:
//
//   - Postgres: 16 connections (rows.Connections). The library uses a few of them.
//   - go-redis: its default of 10 for each core; AutoPipeline brings its own.
//   - redigo, under gorilla: as many idle connections as callers, and without the PING before each use that its
//     default has.
package contestant
