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
		rates, rises := h.rates(of), h.rises(of)
		if len(rates) != maxSamples-1 || slices.Min(rates) != 2 || slices.Max(rates) != 2 {
			t.Errorf("rates %v, want 2 a second", rates)
		}
		if len(rises) != maxSamples-1 || slices.Min(rises) != 4 || slices.Max(rises) != 4 {
			t.Errorf("rises %v, want 4 each", rises)
		}
	})
}

func TestChartsOfLittle(t *testing.T) {
	var h history
	for _, values := range [][]float64{
		h.rates(nil), h.rises(nil), h.ratios(nil, nil),
		{0},
		{0, 0},
		{math.NaN()},
		{math.NaN(), 1, math.NaN()},
	} {
		for _, c := range []chart{
			lineOf("Title", "/s", values), shareOf("Title", values), barsOf("Title", "", values),
		} {
			if strings.Contains(c.Path+c.Now+c.Most+c.Label(), "NaN") ||
				strings.Contains(c.Path, "Inf") {
				t.Errorf("%v: %+v", values, c)
			}
		}
	}
}

func TestCharts(t *testing.T) {
	line := lineOf("Requests", "/s", []float64{0, 10, 5})
	if line.Now != "5" || line.Most != "10" || !strings.HasSuffix(line.Path, "L240.0 28.0") ||
		!strings.HasPrefix(line.Path, "M") {
		t.Errorf("line %+v", line)
	}
	gap := lineOf("Calls", "", []float64{2, 4, math.NaN(), 3, math.NaN()})
	if gap.Now != "3" || gap.Most != "4" || strings.Count(gap.Path, "M") != 2 ||
		!strings.HasSuffix(gap.Path, "h1") {
		t.Errorf("a line with gaps %+v", gap)
	}
	share := shareOf("Hits", []float64{0, 0.5})
	if share.Now != "50" || share.Unit != "\u00a0%" ||
		!strings.HasSuffix(share.Path, "L240.0 28.0") {
		t.Errorf("share %+v", share)
	}
	bars := barsOf("Pruned", "", []float64{3, 0, 0.5})
	if bars.Now != "3.5" || strings.Count(bars.Path, "M") != 2 {
		t.Errorf("bars %+v", bars)
	}
}
