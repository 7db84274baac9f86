package measure

import (
	"context"
	"fmt"
	"runtime"
)

// Cell is one measurement: a contestant under one condition.
type Cell struct {
	Name string
	Run  func(context.Context) (float64, error)
}

// Alternate measures every cell once in each round and returns the samples of
// each cell, in the order of cells. Each round begins one cell later than the
// one before, so that the effects of one cell don't always fall on the same
// next one. The first error ends it.
func Alternate(
	ctx context.Context, rounds int, cells []Cell,
	progress func(round int, cell string, value float64),
) ([]Samples, error) {
	samples := make([]Samples, len(cells))
	for round := range rounds {
		for turn := range cells {
			i := (turn + round) % len(cells)
			runtime.GC() // so that the next cell does not collect the garbage of this one
			value, err := cells[i].Run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", cells[i].Name, round+1, err)
			}
			if value <= 0 {
				return nil, fmt.Errorf("%s, round %d: measured nothing", cells[i].Name, round+1)
			}
			samples[i] = append(samples[i], value)
			if progress != nil {
				progress(round+1, cells[i].Name, value)
			}
		}
	}
	return samples, nil
}
