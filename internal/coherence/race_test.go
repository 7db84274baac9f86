//go:build race

package coherence

// raceEnabled makes the searches take a smaller slice: there is no goroutine in them, and the detector costs ten times the time.
const raceEnabled = true
