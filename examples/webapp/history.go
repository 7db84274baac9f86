package main

import (
	"context"
	"math"
	"sync"
	"time"
)

const (
	sampleEvery = 2 * time.Second
	// three minutes
	maxSamples = 90
)

// sample is the state at one moment for the operator's page. All numbers but
// active are counters since the start of the process.
type sample struct {
	at         time.Time
	active     float64 // live sessions; the latest number if the store is unavailable
	requests   float64 // that loaded their session
	statements float64 // acquires of the pool
	begun      float64
	ended      float64
	refused    float64 // cookies
	pruned     float64 // sessions deleted by this process
	prunes     float64 // prunes by any process
	hits       float64 // loads answered by the cache
	asked      float64 // loads that asked the cache
	calls      float64 // of the store
	shared     float64 // statements for those calls
}

// history holds the samples of the last minutes, oldest first. It is safe for
// concurrent use.
type history struct {
	mu      sync.Mutex
	samples []sample
}

// run takes samples until ctx ends.
func (h *history) run(ctx context.Context, take func(context.Context) sample) {
	again := time.NewTicker(sampleEvery)
	defer again.Stop()
	for {
		h.add(take(ctx))
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

func (h *history) add(s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = append(h.samples, s)
	h.samples = h.samples[max(0, len(h.samples)-maxSamples):]
}

// values returns one number over time.
func (h *history) values(of func(sample) float64) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	values := make([]float64, 0, len(h.samples))
	for _, s := range h.samples {
		values = append(values, of(s))
	}
	return values
}

// ratios returns the growth of one counter divided by that of another, or NaN
// if the other did not grow.
func (h *history) ratios(of, to func(sample) float64) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ratios []float64
	for i := 1; i < len(h.samples); i++ {
		before, after := h.samples[i-1], h.samples[i]
		ratio := math.NaN()
		if n := to(after) - to(before); n > 0 {
			ratio = (of(after) - of(before)) / n
		}
		ratios = append(ratios, ratio)
	}
	return ratios
}

// rates returns the growth of a counter for each second.
func (h *history) rates(of func(sample) float64) []float64 {
	return h.growth(of, 1, time.Second)
}

// perMinute returns the growth of a rare counter for each minute, over half a
// minute: between two samples it is mostly 0.
func (h *history) perMinute(of func(sample) float64) []float64 {
	return h.growth(of, int(30*time.Second/sampleEvery), time.Minute)
}

// growth returns how much a counter has grown for each unit of time, over up to
// so many samples before each.
func (h *history) growth(of func(sample) float64, over int, unit time.Duration) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var rates []float64
	for i := 1; i < len(h.samples); i++ {
		before, after := h.samples[max(0, i-over)], h.samples[i]
		if took := after.at.Sub(before.at); took > 0 {
			rates = append(rates, (of(after)-of(before))*float64(unit)/float64(took))
		}
	}
	return rates
}
