// Package tasks has ten tasks of an application, written with pgsession and
// with scs, whose manner is that of most Go programs. The tests run both and
// count the lines.
package tasks
