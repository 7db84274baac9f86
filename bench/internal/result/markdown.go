package result

import (
	"io"
	"strings"
)

// Run is the circumstances of a report.
type Run struct {
	Command, Flags                    string
	Commit, Date, Took                string
	Machine, System, Go               string
	Postgres, PostgresSettings, Redis string
	Rounds, PerCell                   string
	Plot                              string // path relative to the Markdown; empty for none
}

// Markdown writes the report as a page.
func (r *Report) Markdown(w io.Writer, run Run) error {
	p := printer{w: w}
	p.line("# Benchmarks\n")
	p.line("Written by `%s`; not edited by hand. Absolute figures move from run to run on a "+
		"shared machine; ratios within one run are what counts.\n", run.Command)
	for _, fact := range [][2]string{
		{"Command", "`" + run.Flags + "`"},
		{"Commit", run.Commit},
		{"Date", run.Date},
		{"Took", run.Took},
		{"Machine", run.Machine},
		{"System", run.System},
		{"Go", run.Go},
		{"Postgres", run.Postgres + " with " + run.PostgresSettings},
		{"Redis", run.Redis},
		{
			"Each figure",
			"the median of " + run.Rounds + " rounds in which the contestants take turns, " +
				run.PerCell + " each; ± is half the distance between the least and the greatest",
		},
	} {
		p.line("- %s: %s", fact[0], fact[1])
	}
	if run.Plot != "" {
		p.line("\n![Sessions loaded per second against concurrent callers](%s)", run.Plot)
	}

	p.line("\n## Bars\n")
	p.markdownTable(r.bars())
	if missed := r.missed(); len(missed) == 0 {
		p.line("\nEvery bar that was measured is met.")
	} else {
		p.line("\nNot met:\n")
		for _, c := range missed {
			p.line("- `%s`: %s is %s; the bar is %s.", c.Name, c.What, Ratio(c.Value), c.Bar)
		}
	}
	for _, t := range r.Tables {
		p.line("\n## %s\n", t.Title)
		p.markdownTable(t)
		for _, note := range t.Notes {
			p.line("\n%s", note)
		}
	}
	return p.err
}

func (p *printer) markdownTable(t Table) {
	p.line("| %s | %s |", t.Head, strings.Join(t.Columns, " | "))
	p.line("| ---%s |", strings.Repeat(" | ---", len(t.Columns)))
	for _, r := range t.Rows {
		fields := []string{r.Name}
		for _, c := range r.Cells {
			fields = append(fields, strings.ReplaceAll(c.String(), "|", `\|`))
		}
		p.line("| %s |", strings.Join(fields, " | "))
	}
}
