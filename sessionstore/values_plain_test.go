package sessionstore

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// Postgres returns 1e308 with all its digits, so these count.
func TestNumbersCountAsPostgresReturnsThem(t *testing.T) {
	for given, want := range map[string]string{
		`1e3`: "1000", `-1.25E+1`: "-12.5", `1.5e-3`: "0.0015", `0e5`: "0", `-0.0e2`: "-0",
		`12e-1`: "1.2", `120e-2`: "1.20",
		`["e9",{"1e3":1e2},true,2e0]`: `["e9",{"1e3":100},true,2]`, `"1e5\"1e5"`: `"1e5\"1e5"`,
		`7`: "7",
	} {
		got, err := encodeValue("k", json.RawMessage(given))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", given, got, err, want)
		}
	}
	for range 10_000 {
		f := math.Float64frombits(rand.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			continue
		}
		raw, err := encodeValue("k", f)
		var back float64
		if err != nil || strings.ContainsAny(string(raw), "eE") ||
			json.Unmarshal(raw, &back) != nil || back != f {
			t.Fatalf("%v: %s, %v, %v", f, raw, back, err)
		}
	}
}
