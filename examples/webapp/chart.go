package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	chartWidth  = 240
	chartHeight = 56
)

// chart is a number over the last minutes, drawn as an SVG path. The right edge
// is now, the bottom is 0.
type chart struct {
	Title string
	Unit  string // follows each number
	Now   string
	Top   string // at the upper edge
	Empty string // what the chart will show, if there is nothing to draw
	Known bool   // false until there are the samples that a value needs
	Path  string // empty if no value is known, or if all are 0
}

// lineOf returns a chart of a number. NaN is a gap.
func lineOf(title, unit, empty string, values []float64) chart {
	return drawn(chart{Title: title, Unit: unit, Empty: empty}, values, topOf(values))
}

// shareOf returns a chart of a ratio, in percent.
func shareOf(title, empty string, values []float64) chart {
	percent := make([]float64, len(values))
	for i, v := range values {
		percent[i] = 100 * v
	}
	return drawn(chart{Title: title, Unit: "\u00a0%", Empty: empty}, percent, 100)
}

func drawn(c chart, values []float64, top float64) chart {
	c.Now, c.Top, c.Known = "–", number(top), len(values) > 0
	known := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(known) == 0 {
		return c
	}
	c.Now = number(known[len(known)-1])
	if slices.Max(known) == 0 {
		return c
	}
	var path strings.Builder
	to := 'M'
	for i, v := range values {
		x := xOf(i, len(values))
		if math.IsNaN(v) {
			to = 'M'
			continue
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", to, x, yOf(v, top))
		if alone := to == 'M' && (i+1 == len(values) || math.IsNaN(values[i+1])); alone {
			fmt.Fprintf(&path, "h1") // a single point would be invisible
		}
		to = 'L'
	}
	c.Path = path.String()
	return c
}

// Label describes the chart for readers who can't see it.
func (c chart) Label() string {
	return fmt.Sprintf("%s: now %s%s, the top is %s%s", c.Title, c.Now, c.Unit, c.Top, c.Unit)
}

// topOf returns a round number above all values, at least 1, so that small
// values look small and the axis can be read.
func topOf(values []float64) float64 {
	most := 1.0
	for _, v := range values {
		if v > most { // false for NaN
			most = v
		}
	}
	unit := math.Pow10(int(math.Floor(math.Log10(most))))
	for _, round := range []float64{1, 2, 5} {
		if most <= round*unit {
			return round * unit
		}
	}
	return 10 * unit
}

func xOf(i, n int) float64 { return chartWidth - float64(n-1-i)*chartWidth/(maxSamples-1) }

func yOf(v, top float64) float64 {
	const margin = 2
	return chartHeight - margin - v/top*(chartHeight-2*margin)
}

// number formats with one decimal below 100.
func number(v float64) string {
	if v == float64(int64(v)) || v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}
