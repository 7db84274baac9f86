// Package result holds what was measured, says which bars were met, and writes it down: for a terminal, as Markdown and
// as a plot.
package result
