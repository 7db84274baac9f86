package result

import (
	"fmt"
	"math"
)

// Comparison is one result of a run.
type Comparison struct {
	// Name has no spaces.
	Name string
	// What describes it.
	What  string
	Value float64
	// Difference marks the difference of two measurements, which may be 0 or,
	// in the noise, less.
	Difference bool
	Bar        Bar
}

// Bar is the limit of a comparison. The zero value is no limit.
type Bar struct {
	limit float64
	kind  barKind
}

type barKind int

const (
	noBar barKind = iota
	least
	most
)

// AtLeast is met by values of limit and more.
func AtLeast(limit float64) Bar { return Bar{limit: limit, kind: least} }

// AtMost is met by values of limit and less.
func AtMost(limit float64) Bar { return Bar{limit: limit, kind: most} }

// String returns the bar in words.
func (b Bar) String() string {
	switch b.kind {
	case least:
		return fmt.Sprintf("at least %s", Ratio(b.limit))
	case most:
		return fmt.Sprintf("at most %s", Ratio(b.limit))
	}
	return ""
}

// Verdict returns "met", "NOT met", or "" without a bar.
func (c Comparison) Verdict() string {
	switch {
	case c.Bar.kind == noBar:
		return ""
	case c.met():
		return "met"
	}
	return "NOT met"
}

// met compares the exact value, not the printed one: 0.996 is not 1.00.
func (c Comparison) met() bool {
	if math.IsNaN(c.Value) {
		return false
	}
	if c.Bar.kind == least {
		return c.Value >= c.Bar.limit
	}
	return c.Value <= c.Bar.limit
}

// Ratio formats a ratio.
func Ratio(v float64) string {
	switch {
	case v != 0 && math.Abs(v) < 0.01:
		return fmt.Sprintf("%.4f", v)
	case math.Abs(v) < 10:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Line returns the comparison as the last lines of a run print it, in three
// fields.
func (c Comparison) Line() string { return "ratio " + c.Name + " " + Ratio(c.Value) }
