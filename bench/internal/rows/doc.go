// Package rows creates the sessions that the contestants load: the same number,
// with the same payload, in the library's table, in that of scs and in Redis.
// Row i has the same key and payload everywhere. Both can be computed from i,
// here and in SQL.
package rows
