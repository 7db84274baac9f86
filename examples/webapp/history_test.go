package main

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h history
		ctx, stop := context.WithTimeout(t.Context(), 10*maxSamples*sampleEvery)
		defer stop()
		n := 0.0
		h.run(ctx, func(context.Context) sample {
			n += 4
			return sample{at: time.Now(), requests: n, active: 3}
		})
		of := func(s sample) float64 { return s.requests }
		ratios := h.ratios(of, func(s sample) float64 { return s.requests / 2 })
		if len(ratios) != maxSamples-1 || slices.Min(ratios) != 2 || slices.Max(ratios) != 2 {
			t.Errorf("ratios %v, want 2 each", ratios)
		}
		still := h.ratios(of, func(s sample) float64 { return s.active })
		if !math.IsNaN(still[0]) {
			t.Errorf("a ratio to what stands still: %v", still[0])
		}
		if got := h.values(func(s sample) float64 { return s.active }); len(got) != maxSamples ||
			got[0] != 3 {
			t.Errorf("%d values are kept, want %d", len(got), maxSamples)
		}
		rates, minutes := h.rates(of), h.perMinute(of)
		if len(rates) != maxSamples-1 || slices.Min(rates) != 2 || slices.Max(rates) != 2 {
			t.Errorf("rates %v, want 2 a second", rates)
		}
		if len(minutes) != maxSamples-1 || slices.Min(minutes) != 120 ||
			slices.Max(minutes) != 120 {
			t.Errorf("rates %v, want 120 a minute", minutes)
		}
	})
}

// One login is a rate that lasts for half a minute, and no dot.
func TestRareEventsAreRates(t *testing.T) {
	var h history
	start := time.Now()
	for i := range maxSamples {
		s := sample{at: start.Add(time.Duration(i) * sampleEvery)}
		if i >= 40 {
			s.begun = 1
		}
		h.add(s)
	}
	positive := 0
	for _, v := range h.perMinute(func(s sample) float64 { return s.begun }) {
		if v > 0 {
			positive++
		}
		if v > 2 {
			t.Errorf("%v logins a minute of one in half a minute", v)
		}
	}
	if positive != 15 {
		t.Errorf("the rate lasts for %d samples, want 15", positive)
	}
}

func TestChartsOfLittle(t *testing.T) {
	var h history
	for _, values := range [][]float64{
		h.rates(nil), h.perMinute(nil), h.ratios(nil, nil),
		{0},
		{0, 0},
		{math.NaN()},
		{math.NaN(), 1, math.NaN()},
	} {
		for _, c := range []chart{
			lineOf("Title", "/s", "Empty.", values), shareOf("Title", "Empty.", values),
		} {
			if strings.Contains(c.Path+c.Now+c.Top+c.Label(), "NaN") ||
				strings.Contains(c.Path, "Inf") {
				t.Errorf("%v: %+v", values, c)
			}
			if known := len(values) > 0; c.Known != known {
				t.Errorf("%v: known %t", values, c.Known)
			}
			if nothing := len(values) < 3; nothing != (c.Path == "") {
				t.Errorf("%v: path %q", values, c.Path)
			}
		}
	}
}

func TestCharts(t *testing.T) {
	line := lineOf("Requests", "/s", "", []float64{0, 10, 5})
	if line.Now != "5" || line.Top != "10" || !strings.HasSuffix(line.Path, "L240.0 28.0") ||
		!strings.HasPrefix(line.Path, "M") {
		t.Errorf("line %+v", line)
	}
	gap := lineOf("Calls", "", "", []float64{2, 4, math.NaN(), 3, math.NaN()})
	if gap.Now != "3" || gap.Top != "5" || strings.Count(gap.Path, "M") != 2 ||
		!strings.HasSuffix(gap.Path, "h1") {
		t.Errorf("a line with gaps %+v", gap)
	}
	share := shareOf("Hits", "", []float64{0, 0.5})
	if share.Now != "50" || share.Unit != "\u00a0%" || share.Top != "100" ||
		!strings.HasSuffix(share.Path, "L240.0 28.0") {
		t.Errorf("share %+v", share)
	}
	for most, want := range map[float64]float64{
		0.2: 1, 1: 1, 1.5: 2, 3: 5, 7: 10, 11: 20, 999: 1000, 1000: 1000, 40123: 50000,
	} {
		if got := topOf([]float64{0, most, math.NaN()}); got != want {
			t.Errorf("the top above %v is %v, want %v", most, got, want)
		}
	}
}
