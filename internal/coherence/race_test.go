//go:build race

package coherence

// raceEnabled makes the searches smaller: they have no goroutine, and the race
// detector makes them ten times slower.
const raceEnabled = true
