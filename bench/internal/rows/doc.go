// Package rows makes the sessions that the contestants load: the same number of them, with the same payload, in the
// library's table, in that of scs and in Redis. Row i has the same key and the same payload everywhere, and both can be
// computed from i, here and in SQL.
package rows
