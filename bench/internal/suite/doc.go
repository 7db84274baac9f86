// Package suite holds what is measured: one file for each group of comparisons of issue 3, with its bars.
package suite
