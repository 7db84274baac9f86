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
// is now.
type chart struct {
	Title string
	Unit  string // follows the number
	Now   string
	Most  string
	Bars  bool // for rare happenings
	Path  string
}

// lineOf returns a chart of a number that always has a value. NaN is a gap.
func lineOf(title, unit string, values []float64) chart {
	return drawn(newChart(title, unit, values), values, scaleOf(values))
}

// shareOf returns a chart of a ratio, in percent.
func shareOf(title string, values []float64) chart {
	percent := make([]float64, len(values))
	for i, v := range values {
		percent[i] = 100 * v
	}
	return drawn(newChart(title, "\u00a0%", percent), percent, 100)
}

func drawn(c chart, values []float64, most float64) chart {
	var path strings.Builder
	to := 'M'
	for i, v := range values {
		x := xOf(i, len(values))
		if math.IsNaN(v) {
			to = 'M'
			continue
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", to, x, yOf(v, most))
		if alone := to == 'M' && (i+1 == len(values) || math.IsNaN(values[i+1])); alone {
			fmt.Fprintf(&path, "h1") // a single point would be invisible
		}
		to = 'L'
	}
	c.Path = path.String()
	return c
}

// barsOf returns a chart of rare happenings. Its number is their sum.
func barsOf(title, unit string, values []float64) chart {
	c := newChart(title, unit, values)
	c.Bars = true
	most, sum := scaleOf(values), 0.0
	var path strings.Builder
	for i, v := range values {
		if v > 0 {
			sum += v
			fmt.Fprintf(&path, "M%.1f %dV%.1f", xOf(i, len(values)), chartHeight, yOf(v, most))
		}
	}
	c.Now, c.Path = number(sum), path.String()
	return c
}

func newChart(title, unit string, values []float64) chart {
	c := chart{Title: title, Unit: unit, Now: "–", Most: "–"}
	if known := slices.DeleteFunc(slices.Clone(values), math.IsNaN); len(known) > 0 {
		c.Now, c.Most = number(known[len(known)-1]), number(slices.Max(known))
	}
	return c
}

// Label describes the chart for readers who can't see it.
func (c chart) Label() string {
	if c.Bars {
		return fmt.Sprintf("%s: %s%s in the last minutes, at most %s at once", c.Title, c.Now,
			c.Unit, c.Most)
	}
	return fmt.Sprintf("%s: now %s%s, at most %s", c.Title, c.Now, c.Unit, c.Most)
}

// scaleOf returns the value at the top, at least 1, so that small values look
// small.
func scaleOf(values []float64) float64 {
	most := 1.0
	for _, v := range values {
		if v > most { // false for NaN
			most = v
		}
	}
	return most
}

func xOf(i, n int) float64 { return chartWidth - float64(n-1-i)*chartWidth/(maxSamples-1) }

func yOf(v, most float64) float64 {
	const margin = 2
	return chartHeight - margin - v/most*(chartHeight-2*margin)
}

// number formats with one decimal below 100.
func number(v float64) string {
	if v == float64(int64(v)) || v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}
