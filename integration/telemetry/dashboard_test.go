package telemetry_test

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

type dashboard struct {
	UID        string
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

type panel struct {
	ID      int
	Title   string
	Type    string
	Targets []struct{ Expr, LegendFormat string }
	GridPos struct{ H, W, X, Y int }
	// FieldConfig has the unit of a panel.
	FieldConfig struct{ Defaults struct{ Unit string } }
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal(module(t, "otelsession/grafana/pgsession.json"), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// variables replaces Grafana's variables as Grafana does.
var variables = strings.NewReplacer("[$__rate_interval]", "[5m]", `=~"$job"`, `=~".+"`,
	`=~"$instance"`, `=~".+"`, `=~"$pool"`, `=~".+"`)

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	found := full(t).scrape()
	d := readDashboard(t)
	if d.UID != "pgsession" {
		t.Errorf("its uid is %q", d.UID)
	}
	seen, queries, asked := map[int]bool{}, 0, map[string]bool{}
	for _, panel := range d.Panels {
		if seen[panel.ID] {
			t.Errorf("two panels have the id %d", panel.ID)
		}
		if seen[panel.ID] = true; panel.GridPos.X+panel.GridPos.W > 24 {
			t.Errorf("%s is too wide", panel.Title)
		}
		for _, target := range panel.Targets {
			queries++
			query := variables.Replace(target.Expr)
			if strings.Contains(query, "$") || !strings.Contains(target.Expr, "$job") {
				t.Errorf("%s: the variables of %s", panel.Title, target.Expr)
			}
			for _, one := range alternatives(query) {
				answered(t, found, panel.Title, one)
			}
			for name := range found {
				asked[name] = asked[name] || regexp.MustCompile(`\b`+name+`\b`).MatchString(query)
			}
		}
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("%s asks nothing", panel.Title)
		}
	}
	if queries < 20 {
		t.Errorf("only %d queries", queries)
	}
	values := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		parts := values.FindStringSubmatch(v.Definition)
		if parts == nil {
			t.Errorf("%s: %s", v.Name, v.Definition)
			continue
		}
		answered(t, found, v.Name, "count by ("+parts[2]+") ("+variables.Replace(parts[1])+")")
	}
	// The dashboard has every metric, except for the parts of a histogram.
	for name := range found {
		if strings.HasPrefix(name, "pgsession_") && !asked[name] &&
			!regexp.MustCompile("_(count|sum|bucket)$").MatchString(name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// Without a fault no panel is empty, since full has two failures: a counter of
// faults exists from the start, and is zero.
func TestEveryPanelOfTheDashboardShowsSomething(t *testing.T) {
	t.Parallel()
	p := full(t)
	scraped := newPast(t)
	scraped.scrape(p, minute(0))
	p.everything()
	scraped.scrape(p, minute(1))
	label := regexp.MustCompile(`{{(\w+)}}`)
	quantile := regexp.MustCompile(`^histogram_quantile\(([0-9.]+),`)
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			shown, names := 0, map[string]bool{}
			for _, sample := range scraped.ask(variables.Replace(target.Expr), minute(1)) {
				if math.IsNaN(sample.F) { // a kind of call that did not happen
					continue
				}
				shown++
				if math.IsInf(sample.F, 0) || panel.FieldConfig.Defaults.Unit == "percentunit" &&
					sample.F > 1 || sample.F < 0 {
					t.Errorf("%s: %v\n%s", panel.Title, sample, target.Expr)
				}
				name := label.ReplaceAllStringFunc(target.LegendFormat, func(l string) string {
					v := sample.Metric.Get(label.FindStringSubmatch(l)[1])
					if v == "" {
						t.Errorf("%s: %v is shown as %q", panel.Title, sample.Metric,
							target.LegendFormat)
					}
					return v
				})
				if names[name] {
					t.Errorf("%s: two are shown as %q", panel.Title, name)
				}
				names[name] = true
			}
			if shown == 0 {
				t.Errorf("%s shows nothing\n%s", panel.Title, target.Expr)
			}
			if q := quantile.FindStringSubmatch(target.Expr); q != nil {
				share, err := strconv.ParseFloat(q[1], 64)
				want := "p" + strconv.Itoa(int(math.Round(share*100)))
				if err != nil || !strings.HasSuffix(target.LegendFormat, want) {
					t.Errorf("%s: %s is shown as %q", panel.Title, target.Expr, target.LegendFormat)
				}
			}
		}
	}
}
