package forms_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/fieldtest"
	"github.com/reporadar/pgsession/internal/schema"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A column that one of the lists of this package leaves out is compared with
// nothing.
func TestEachColumnIsCompared(t *testing.T) {
	t.Parallel()
	var needed []string
	for _, fact := range schema.Needs() {
		if name, ok := strings.CutPrefix(fact.Name, "sessions."); ok && fact.Kind == "column" {
			needed = append(needed, name)
		}
	}
	o := &outcome{explained: map[string][]string{}}
	rec := fieldtest.Filled[store.Record](t)
	o.columns("row", rec, rec, &call{}, expiries["sliding"], moment{})
	explained := []string{"tags"} // by explain
	for name := range o.explained {
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "row: "), ".")
		explained = append(explained, name)
	}
	slices.Sort(needed)
	for what, list := range map[string][]string{
		"columns, which put and all use":    slices.Clone(columns),
		"outcome.columns, which explains a": explained,
	} {
		slices.Sort(list)
		if !slices.Equal(list, needed) {
			t.Errorf("%s row, has\n%v\nthe schema has\n%v", what, list, needed)
		}
	}
}

// A field that is never drawn is empty in each row, in each draft or in each
// change, so a form that loses it looks like the others.
func TestEachFieldIsDrawn(t *testing.T) {
	t.Parallel()
	drawn := map[string]map[string]bool{"Record": {}, "Draft": {}, "Change": {}}
	note := func(what string, v any) {
		for _, name := range fieldtest.Names(v) {
			drawn[what][name] = true
		}
	}
	for seed := range uint64(10) {
		for _, op := range operations {
			r := op.draw(&drawer{rand.New(rand.NewPCG(seed, 0)), expiries["sliding"], false})
			for i := range r.rows {
				note("Record", r.rows[i])
			}
			for i := range r.calls {
				note("Draft", r.calls[i].draft)
				note("Change", r.calls[i].change)
			}
		}
	}
	check := func(what string, names []string, but ...string) {
		for _, name := range names {
			if drawn[what][name] == slices.Contains(but, name) {
				t.Errorf("%s.%s: drawn %t: draw it, or exempt it here", what, name,
					drawn[what][name])
			}
		}
	}
	// Not columns, or of a restore only.
	check("Record", fieldtest.Names(fieldtest.Filled[store.Record](t)),
		"ValidatedAt", "AnsweredAt", "MinVersion", "Emergency", "Began")
	check("Draft", fieldtest.Names(fieldtest.Filled[store.Draft](t)), "PendingSince")
	check("Change", fieldtest.Names(fieldtest.Filled[store.Change](t)))
}
