// Package suite holds the measurements: one file for each group of comparisons,
// with its bars.
package suite
