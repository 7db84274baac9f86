package result

import (
	"fmt"
	"math"
	"strconv"

	"github.com/reporadar/pgsession/bench/internal/measure"
)

// Table is the result of a suite: a row for each contestant, a column for each
// condition.
type Table struct {
	Title string
	// Head is the heading of the first column.
	Head    string
	Columns []string
	Rows    []Row
	Notes   []string
}

// Row is a contestant's. An empty cell was not measured.
type Row struct {
	Name  string
	Cells []Cell
}

// Cell is a value. With several samples it is their median.
type Cell struct {
	Text    string
	Samples measure.Samples
}

// Text returns a cell that is no number, or was not measured in rounds.
func Text(format string, args ...any) Cell { return Cell{Text: fmt.Sprintf(format, args...)} }

// Of returns the cell of some samples.
func Of(samples measure.Samples) Cell { return Cell{Samples: samples} }

// String returns the median with its spread.
func (c Cell) String() string {
	if len(c.Samples) == 0 {
		return c.Text
	}
	s := Number(c.Samples.Median())
	if len(c.Samples) > 1 {
		s += fmt.Sprintf(" ±%.0f%%", 50*c.Samples.Spread())
	}
	return s
}

// Number formats with three significant digits, and commas between thousands.
func Number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case math.Abs(v) < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Median returns the median of a row's cell by name, or 0 without one.
func (t *Table) Median(row, column string) float64 {
	for _, r := range t.Rows {
		for i, c := range t.Columns {
			if r.Name == row && c == column && i < len(r.Cells) {
				return r.Cells[i].Samples.Median()
			}
		}
	}
	return 0
}
