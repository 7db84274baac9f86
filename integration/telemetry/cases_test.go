package telemetry_test

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// cases is a promtool test file, with the fields that ours uses.
type cases struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []struct {
		Name     string
		Interval model.Duration
		Input    []struct{ Series, Values string } `yaml:"input_series"`
		Alerts   []struct {
			At   model.Duration `yaml:"eval_time"`
			Name string         `yaml:"alertname"`
			Want []notice       `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

// promtool reads the same file, after a threshold has changed. This test also
// checks that each alert has a case, and that a program reports such series.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	var file cases
	dec := yaml.NewDecoder(bytes.NewReader(module(t, "otelsession/prometheus/pgsession_test.yaml")))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.RuleFiles) != 1 || file.RuleFiles[0] != "pgsession.yaml" ||
		time.Duration(file.EvaluationInterval) != time.Minute {
		t.Fatalf("it is of %v, evaluated every %s", file.RuleFiles, file.EvaluationInterval)
	}
	reported := full(t).scrape()
	fired, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		p := newPast(t)
		for _, in := range test.Input {
			l, values, err := promQL.ParseSeriesDesc(in.Series + " " + in.Values)
			if err != nil {
				t.Fatalf("%s: %v", in.Series, err)
			}
			for i, v := range values {
				if !v.Omitted {
					p.add(l, began.Add(time.Duration(i)*time.Duration(test.Interval)), v.Value)
				}
			}
			answered(t, reported, test.Name, in.Series)
		}
		for _, step := range test.Alerts {
			rule := alerts(t)[step.Name]
			if rule == nil {
				t.Fatalf("%s: there is no alert %s", test.Name, step.Name)
			}
			var got []notice
			for after := time.Duration(0); after <=
				time.Duration(step.At); after += time.Duration(file.EvaluationInterval) {
				got = rule.evaluate(p, began.Add(after))
			}
			for _, n := range step.Want {
				n.Labels["alertname"] = step.Name
			}
			if !slices.EqualFunc(got, step.Want, func(a, b notice) bool {
				return reflect.DeepEqual(a, b)
			}) {
				t.Errorf("%s: after %s %s is\n%v, want\n%v", test.Name, step.At, step.Name, got,
					step.Want)
			}
			fired[step.Name] = fired[step.Name] || len(step.Want) > 0
			silent[step.Name] = silent[step.Name] || len(step.Want) == 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(alerts(t))) {
		if !fired[name] || !silent[name] {
			t.Errorf("%s: no case in which it fires (%t), or none in which it does not (%t)", name,
				fired[name], silent[name])
		}
	}
}
