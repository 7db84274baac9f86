package suite

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"time"

	"github.com/reporadar/pgsession/bench/internal/allocations"
	"github.com/reporadar/pgsession/bench/internal/measure"
	"github.com/reporadar/pgsession/bench/internal/result"
)

// Each handler is measured for trackingTurn, trackingTurns times in a round.
// Turns are short because the effect is a fraction of what the machine's speed
// changes within a second.
const (
	trackingTurn  = 10 * time.Millisecond
	trackingTurns = 20
)

// tracking measures what metadata and the check for suspicious activity add to
// a request.
func tracking(ctx context.Context, b *Bench) (report result.Report, err error) {
	r, err := allocations.NewRequest(ctx)
	if err != nil {
		return report, err
	}
	table := result.Table{
		Title:   "What tracking and the check for suspicious activity add to a request",
		Head:    "a request",
		Columns: []string{"without them, µs", "they add, µs", "they add, allocations"},
		Notes: []string{fmt.Sprintf(
			"A GET that reads one value, over the store in memory, with NoMetadata and "+
				"NoSuspiciousCheck and without, in turns of %v: medians of the differences "+
				"within each turn. "+
				"From another network and browser each time, nearly every request is a "+
				"suspicion: two allocations are the request's, the others those of the goroutine "+
				"that tells the observer.", trackingTurn)},
	}
	for _, place := range []struct {
		name, row, what string
		arrive          func()
		allocations     result.Bar
	}{
		{"tracking", "from where the last one was", "", func() {}, result.AtMost(2)},
		{
			"tracking_suspicious", "from another network and browser each time",
			", those of telling the observer among them", r.Travel(),
			result.Bar{},
		},
	} {
		t := &trackedRequest{request: r, arrive: place.arrive}
		var without, added, allocated measure.Samples
		for round := range b.Rounds {
			if err := ctx.Err(); err != nil {
				return report, err
			}
			runtime.GC()
			bare, more := t.time()
			without, added = append(without, bare.Median()), append(added, more.Median())
			allocated = append(allocated, t.allocations(r.Session)-t.allocations(r.Untracked))
			b.Log("round %d: %s: %.3f µs and %.2f allocations more", round+1, place.row,
				more.Median(), allocated[round])
		}
		table.Rows = append(table.Rows, result.Row{Name: place.row, Cells: []result.Cell{
			result.Text("%.2f", without.Median()), result.Text("%.2f", added.Median()),
			result.Text("%.2f", allocated.Median()),
		}})
		report.Comparisons = append(report.Comparisons,
			result.Comparison{
				Name:  place.name + "_us",
				What:  "µs that tracking and the check add to a request " + place.row,
				Value: added.Median(), Difference: true, Bar: result.AtMost(2),
			},
			result.Comparison{
				Name: place.name + "_allocations",
				What: "allocations that tracking and the check add to a request " +
					place.row + place.what, Value: allocated.Median(), Difference: true,
				Bar: place.allocations,
			},
		)
	}
	report.Tables = []result.Table{table}
	return report, nil
}

// trackedRequest is a request with an address and a browser.
type trackedRequest struct {
	request *allocations.Request
	arrive  func()
}

// time returns the µs of the request without tracking, and how many more with
// it.
func (t *trackedRequest) time() (without, added measure.Samples) {
	for turn := range trackingTurns {
		var µs [2]float64
		for i := range µs {
			which := (turn + i) % 2
			µs[which] = t.took([]http.Handler{t.request.Untracked, t.request.Session}[which])
		}
		without, added = append(without, µs[0]), append(added, µs[1]-µs[0])
	}
	return without, added
}

func (t *trackedRequest) took(h http.Handler) float64 {
	const between = 100 // reads of the clock
	n, began := 0, time.Now()
	for time.Since(began) < trackingTurn {
		for range between {
			t.arrive()
			t.request.Serve(h)
		}
		n += between
	}
	return float64(time.Since(began).Nanoseconds()) / 1000 / float64(n)
}

// allocations returns those of one request. Work once a second, such as a
// touch, adds a fraction of one.
func (t *trackedRequest) allocations(h http.Handler) float64 {
	const requests = 5000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range requests {
		t.arrive()
		t.request.Serve(h)
	}
	runtime.ReadMemStats(&after)
	return math.Round(float64(after.Mallocs-before.Mallocs)/requests*100) / 100
}
