package measure

import "slices"

// Samples are the values of one cell, one from each round.
type Samples []float64

// Median returns the middle value, or the mean of the two in the middle; 0
// without samples.
func (s Samples) Median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Spread returns the difference between the greatest and the least value, as a
// share of the median.
func (s Samples) Spread() float64 {
	median := s.Median()
	if median == 0 {
		return 0
	}
	return (slices.Max(s) - slices.Min(s)) / median
}
