package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"

	"github.com/reporadar/pgsession/bench/internal/allocations"
	"github.com/reporadar/pgsession/bench/internal/result"
)

// AllocationsCommand is the first argument that makes this program count
// allocations, in a process with an exact profile from the start.
const AllocationsCommand = "allocations"

// allocated counts the allocations of one request.
func allocated(ctx context.Context, _ *Bench) (report result.Report, err error) {
	program, err := os.Executable()
	if err != nil {
		return report, err
	}
	cmd := exec.CommandContext(ctx, program, AllocationsCommand)
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	if err != nil {
		return report, fmt.Errorf("counting allocations: %w", err)
	}
	var counted allocations.Counted
	if err := json.Unmarshal(printed, &counted); err != nil {
		return report, err
	}
	t := result.Table{
		Title: "Allocations of one request with a loaded session", Head: "place",
		Columns: []string{"function", "allocations", "made in"},
		Notes: []string{fmt.Sprintf(
			"A GET that reads one value, over the store in memory: %.1f allocations in all, of "+
				"which the same handler without a session makes %.1f. "+
				"The place is the innermost line of the library; what it calls is beside it. The "+
				"count that the bar is about leaves the bare handler out.", counted.Session,
			counted.Bare)},
	}
	for _, p := range counted.Places {
		t.Rows = append(t.Rows,
			result.Row{
				Name: p.Line,
				Cells: []result.Cell{
					result.Text("%s", p.Function), result.Text("%.2f", p.Count),
					result.Text("%s", p.In),
				},
			})
	}
	report.Tables = []result.Table{t}
	report.Comparisons = []result.Comparison{{
		Name:  "allocations",
		What:  "one request with a loaded session: allocations in the middleware and session code",
		Value: counted.Session - counted.Bare, Bar: result.AtMost(40),
	}}
	return report, nil
}
