package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// growth is what a quantity was at the first reading, and at the end.
type growth struct {
	name       string
	first, end int64
}

// tolerance is the share by which a quantity may have grown.
const tolerance = 0.10

func (g *growth) share() float64 {
	if g.first == 0 {
		return 0
	}
	return float64(g.end)/float64(g.first) - 1
}

// tooMuch reports whether it grew by more than the tolerance. Something that
// was nothing at first must be nothing.
func (g *growth) tooMuch() bool {
	return float64(g.end-g.first) > tolerance*float64(g.first)
}

// growths compares two readings.
func growths(first, end []quantity) (all []growth) {
	for i := range first {
		all = append(all, growth{first[i].name, first[i].value, end[i].value})
	}
	return all
}

// errGrew means that something grew by more than a tenth.
var errGrew = errors.New("grew by more than a tenth")

// report writes the table, and returns an error that names what grew.
func report(w io.Writer, steady, length time.Duration, all []growth) error {
	var errs []error
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintf(t, "\tafter %s\tat the end, %s\tgrown by\t\n",
		steady.Round(time.Second), length.Round(time.Second))
	for _, g := range all {
		verdict := ""
		if g.tooMuch() {
			verdict = "TOO MUCH"
			errs = append(errs, fmt.Errorf("%s %w: %d, then %d", g.name, errGrew, g.first, g.end))
		}
		_, e := fmt.Fprintf(t, "%s\t%d\t%d\t%+.1f %%\t%s\n", g.name, g.first, g.end,
			100*g.share(), verdict)
		err = errors.Join(err, e)
	}
	return errors.Join(err, t.Flush(), errors.Join(errs...))
}
