package result

import (
	"bytes"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/bench/internal/measure"
)

func sample() Report {
	return Report{
		Tables: []Table{{
			Title: "Loads", Head: "callers", Columns: []string{"1", "64"},
			Rows: []Row{
				{
					Name: "ours",
					Cells: []Cell{
						Of(measure.Samples{7000, 7100, 7200}), Of(measure.Samples{110_000}),
					},
				},
				{Name: "theirs", Cells: []Cell{Of(measure.Samples{7000}), {}}},
			},
			Notes: []string{"A note."},
		}},
		Comparisons: []Comparison{
			{Name: "loads_1_theirs", What: "loads, 1 caller", Value: 1.0142857, Bar: AtLeast(0.95)},
			{Name: "wal", What: "WAL bytes", Value: 0.0214, Bar: AtMost(0.02)},
			{Name: "free", What: "no bar", Value: 3},
		},
	}
}

func TestVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		value float64
		bar   Bar
		want  string
	}{
		"above a least":             {1.2, AtLeast(1), "met"},
		"at a least":                {1, AtLeast(1), "met"},
		"printed as met, but below": {0.9999, AtLeast(1), "NOT met"},
		"below a least":             {0.5, AtLeast(1), "NOT met"},
		"at a most":                 {0.02, AtMost(0.02), "met"},
		"above a most":              {0.0201, AtMost(0.02), "NOT met"},
		"no number":                 {math.NaN(), AtMost(40), "NOT met"},
		"no bar":                    {9, Bar{}, ""},
	} {
		if got := (Comparison{Value: c.value, Bar: c.bar}).Verdict(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestNothingIsAResultOnlyOfADifference(t *testing.T) {
	for _, value := range []float64{0, -0.01} {
		for _, difference := range []bool{false, true} {
			r := Report{Comparisons: []Comparison{{
				Name: "added", Value: value, Difference: difference,
			}}}
			if (r.Check() == nil) != difference {
				t.Errorf("%v, a difference: %v: %v", value, difference, r.Check())
			}
		}
	}
	r := Report{Comparisons: []Comparison{{Name: "added", Value: math.NaN(), Difference: true}}}
	if r.Check() == nil {
		t.Error("no number passed for a difference")
	}
}

func TestPrintEndsWithALineForEachComparison(t *testing.T) {
	report := sample()
	var b bytes.Buffer
	if err := report.Print(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	want := []string{"ratio loads_1_theirs 1.014", "ratio wal 0.021", "ratio free 3.000"}
	for i, line := range lines[len(lines)-3:] {
		if line != want[i] || len(strings.Fields(line)) != 3 {
			t.Errorf("line %q, want %q", line, want[i])
		}
	}
	for _, text := range []string{
		"7,100 ±1%", "110,000", "A note.", "at least 0.950  met", "at most 0.020   NOT met",
	} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("%q is missing in\n%s", text, &b)
		}
	}
}

func TestCheckRefusesComparisonsWithoutANumber(t *testing.T) {
	for _, value := range []float64{math.NaN(), math.Inf(1), 0, -1} {
		r := Report{Comparisons: []Comparison{{Name: "x", Value: value}}}
		if r.Check() == nil {
			t.Errorf("%v passed", value)
		}
	}
	if r := sample(); r.Check() != nil {
		t.Error(r.Check())
	}
}

func TestMarkdown(t *testing.T) {
	report := sample()
	var b bytes.Buffer
	err := report.Markdown(&b,
		Run{
			Command: "make bench", Flags: "bench -write", Commit: "abc", Machine: "a | b, 2 cores",
			Rounds: "5", Plot: "loads.svg",
		})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"- Commit: abc\n", "](loads.svg)",
		"| callers | 1 | 64 |\n| --- | --- | --- |\n| ours | 7,100 ±1% | 110,000 |\n| theirs | " +
			"7,000 |  |\n",
		"Not met:\n\n- `wal`: WAL bytes is 0.021; the bar is at most 0.020.\n",
	} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("%q is missing in\n%s", text, &b)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.0123: "0.01", 3.14159: "3.14", 42.42: "42.4", 999.6: "1,000", 1234.5: "1,235",
		1234567: "1,234,567", 100: "100",
	} {
		if got := Number(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

func TestMedianByName(t *testing.T) {
	table := sample().Tables[0]
	if table.Median("ours", "1") != 7100 || table.Median("theirs", "64") != 0 ||
		table.Median("nobody", "1") != 0 {
		t.Error("a cell was not found, or one that is not there was")
	}
}

func TestPlot(t *testing.T) {
	table := sample().Tables[0]
	path := filepath.Join(t.TempDir(), "loads.svg")
	curves := []Curve{
		{Row: "ours", Label: "Ours", Color: color.Black, Width: 2},
		{Row: "theirs", Label: "Theirs", Color: color.Black, Width: 1, Dash: true},
	}
	if err := Plot(table, "Loads", "callers", "", curves, path); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(path)
	if err != nil || !regexp.MustCompile(`>Ours</text>`).Match(svg) {
		t.Errorf("the curve has no legend, %v", err)
	}
	if ours, theirs := bytes.Index(svg, []byte(">Ours<")), bytes.Index(svg,
		[]byte(">Theirs<")); ours > theirs {
		t.Error("the key is not in the order in which the curves end")
	}
	if err := Plot(table, "Loads", "callers", "", []Curve{{Row: "nobody"}}, path); err == nil {
		t.Error("a contestant without measurements was plotted")
	}
}
