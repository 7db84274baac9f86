package result

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Report is the result of a run.
type Report struct {
	Tables      []Table
	Comparisons []Comparison
}

// Add appends another report.
func (r *Report) Add(other Report) {
	r.Tables = append(r.Tables, other.Tables...)
	r.Comparisons = append(r.Comparisons, other.Comparisons...)
}

// Table finds a table by its title.
func (r *Report) Table(title string) (Table, bool) {
	for _, t := range r.Tables {
		if t.Title == title {
			return t, true
		}
	}
	return Table{}, false
}

// Check returns an error for a comparison without a number: it names a
// contestant that was not measured.
func (r *Report) Check() error {
	for _, c := range r.Comparisons {
		if math.IsNaN(c.Value) || math.IsInf(c.Value, 0) || c.Value <= 0 && !c.Difference {
			return fmt.Errorf("ratio %s came to %v", c.Name, c.Value)
		}
	}
	return nil
}

// bars returns the comparisons as a table.
func (r *Report) bars() Table {
	t := Table{Title: "Comparisons", Head: "ratio", Columns: []string{"what", "value", "bar", ""}}
	for _, c := range r.Comparisons {
		t.Rows = append(t.Rows,
			Row{
				Name: c.Name,
				Cells: []Cell{
					Text("%s", c.What), Text("%s", Ratio(c.Value)), Text("%s", c.Bar),
					Text("%s", c.Verdict()),
				},
			})
	}
	return t
}

// missed returns the comparisons whose bars are not met.
func (r *Report) missed() (missed []Comparison) {
	for _, c := range r.Comparisons {
		if c.Verdict() == "NOT met" {
			missed = append(missed, c)
		}
	}
	return missed
}

// Print writes the report for a terminal. It ends with a line for each
// comparison.
func (r *Report) Print(w io.Writer) error {
	p := printer{w: w}
	for _, t := range append(r.Tables[:len(r.Tables):len(r.Tables)], r.bars()) {
		p.table(t)
	}
	for _, c := range r.Comparisons {
		p.line("%s", c.Line())
	}
	return p.err
}

// printer remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) table(t Table) {
	p.line("\n%s", t.Title)
	lines := [][]string{append([]string{t.Head}, t.Columns...)}
	for _, r := range t.Rows {
		line := []string{r.Name}
		for _, c := range r.Cells {
			line = append(line, c.String())
		}
		lines = append(lines, line)
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, field := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(field))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, field := range line {
			b.WriteString("  " +
				field + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(field)))
		}
		p.line("%s", strings.TrimRight(b.String(), " "))
	}
	for _, note := range t.Notes {
		p.line("  %s", note)
	}
}
