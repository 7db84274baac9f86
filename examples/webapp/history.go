package main

import (
	"context"
	"math"
	"sync"
	"time"
)

const (
	sampleEvery = 2 * time.Second
	// Three minutes of them.
	maxSamples = 90
)

// sample is what the operator's page knows of one moment. All numbers but active count from the start of the process.
type sample struct {
	at         time.Time
	active     float64 // sessions, by the store's word; what it was when the store does not answer
	requests   float64 // that asked for their session
	statements float64 // that the pool gave a connection for
	begun      float64
	ended      float64
	refused    float64 // cookies
	pruned     float64 // by this process
	prunes     float64 // by any process that were seen to have happened
	hits       float64 // loads that the cache answered
	asked      float64 // loads that asked it
	calls      float64 // of the store
	shared     float64 // statements that they came to
}

// history is the samples of the last minutes, the oldest first. It is safe for concurrent use.
type history struct {
	mu      sync.Mutex
	samples []sample
}

// run takes a sample again and again, until ctx ends.
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

// values is one number over time, as it was.
func (h *history) values(of func(sample) float64) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	values := make([]float64, 0, len(h.samples))
	for _, s := range h.samples {
		values = append(values, of(s))
	}
	return values
}

// rises is by how much a counter rose between samples.
func (h *history) rises(of func(sample) float64) []float64 {
	values := h.values(of)
	for i := range values[:max(0, len(values)-1)] {
		values[i] = values[i+1] - values[i]
	}
	return values[:max(0, len(values)-1)]
}

// ratios is how much of one counter came to one of another between samples; NaN where that stood still.
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

// rates is how much a counter rose in a second.
func (h *history) rates(of func(sample) float64) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var rates []float64
	for i := 1; i < len(h.samples); i++ {
		before, after := h.samples[i-1], h.samples[i]
		if seconds := after.at.Sub(before.at).Seconds(); seconds > 0 {
			rates = append(rates, (of(after)-of(before))/seconds)
		}
	}
	return rates
}
