package result

import (
	"fmt"
	"math"
)

// Comparison is one number that a run comes to.
type Comparison struct {
	// Name has no spaces.
	Name string
	// What says it in words.
	What  string
	Value float64
	// Difference says that the value is one of two measurements: nothing, or less than nothing in the noise, is a result.
	Difference bool
	Bar        Bar
}

// Bar is the limit of a comparison. The zero value is none.
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

// AtLeast is met by values from limit up.
func AtLeast(limit float64) Bar { return Bar{limit: limit, kind: least} }

// AtMost is met by values up to limit.
func AtMost(limit float64) Bar { return Bar{limit: limit, kind: most} }

// String is the bar in words.
func (b Bar) String() string {
	switch b.kind {
	case least:
		return fmt.Sprintf("at least %s", Ratio(b.limit))
	case most:
		return fmt.Sprintf("at most %s", Ratio(b.limit))
	}
	return ""
}

// Verdict is "met", "NOT met", or nothing where there is no bar.
func (c Comparison) Verdict() string {
	switch {
	case c.Bar.kind == noBar:
		return ""
	case c.met():
		return "met"
	}
	return "NOT met"
}

// met takes the value as it is, not as it is printed: 0.996 is not 1.00.
func (c Comparison) met() bool {
	if math.IsNaN(c.Value) {
		return false
	}
	if c.Bar.kind == least {
		return c.Value >= c.Bar.limit
	}
	return c.Value <= c.Bar.limit
}

// Ratio writes a ratio.
func Ratio(v float64) string {
	switch {
	case v != 0 && math.Abs(v) < 0.01:
		return fmt.Sprintf("%.4f", v)
	case math.Abs(v) < 10:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Line is the comparison as the last lines of a run have it: three fields.
func (c Comparison) Line() string { return "ratio " + c.Name + " " + Ratio(c.Value) }
