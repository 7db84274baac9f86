package otelsession_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// everything returns all metrics of a program in which everything has happened:
// by name their type, unit and attributes.
func everything(t *testing.T) map[string]string {
	k := newTelemetry(t)
	k.instrument(newDouble())
	tracer := otelsession.NewTracer(k.options()...)
	for _, layer := range []store.Layer{
		store.LayerSession, store.LayerCache, store.LayerPostgres, store.LayerStatement,
	} {
		for _, op := range []store.Operation{store.OpLoad, store.OpPrune} {
			c := sessionstore.Call{Layer: layer, Operation: op}
			tracer.TraceEnd(tracer.TraceStart(t.Context(), c), c,
				sessionstore.CallResult{
					Err: sessionstore.ErrUnavailable, Cache: store.CacheFailed, SQLState: "53300",
				})
		}
	}
	attributes, columns := map[string]map[string]bool{}, map[string]string{}
	for _, p := range k.collect() {
		name := p.metric.Name
		if attributes[name] == nil {
			attributes[name] = map[string]bool{}
		}
		for _, a := range p.attributes.ToSlice() {
			attributes[name]["`"+string(a.Key)+"`"] = true
		}
		columns[name] = fmt.Sprintf("%s | %s", p.kind, p.metric.Unit)
	}
	for name, keys := range attributes {
		columns[name] += " | " + strings.Join(slices.Sorted(maps.Keys(keys)), ", ")
	}
	return columns
}

// Name, type, unit, attributes and meaning.
var metricRow = regexp.MustCompile(
	"(?m)^\\| `([a-z_.]+)` \\| (.*?) \\| (.*?) \\| (.*?) \\| .+ \\|$")

func TestTheDocumentHasEveryMetric(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
		var columns []string
		for _, cell := range row[2:] {
			columns = append(columns, strings.TrimSpace(cell))
		}
		documented[row[1]] = strings.Join(columns, " | ")
	}
	made := everything(t)
	for name, columns := range made {
		if documented[name] != columns {
			t.Errorf("the document says\n| %s | %s, and it is\n| `%s` | %s | … |", name,
				documented[name], name, columns)
		}
	}
	for name := range documented {
		if made[name] == "" {
			t.Errorf("the document has %s, which is not there", name)
		}
	}
}
