// Package result holds the measurements, decides which bars were met, and
// writes them: for a terminal, as Markdown and as a plot.
package result
