package telemetry_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
)

// alert is a rule and its active alerts. Package rules of Prometheus has the
// same, and imports the clients of three clouds.
type alert struct {
	rulefmt.Rule
	active map[string]time.Time // by its labels, since when
}

// notice is an alert that fires, as the Alertmanager gets it.
type notice struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// alerts returns those of the rule file, none of them active.
func alerts(t testing.TB) map[string]*alert {
	t.Helper()
	groups, errs := rulefmt.Parse(module(t, "otelsession/prometheus/pgsession.yaml"), false,
		model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	all := map[string]*alert{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || all[rule.Alert] != nil || rule.KeepFiringFor != 0 ||
				group.Interval != 0 || group.QueryOffset != nil {
				t.Fatalf("%s%s: these tests don't know such a rule", rule.Record, rule.Alert)
			}
			all[rule.Alert] = &alert{rule, map[string]time.Time{}}
		}
	}
	return all
}

// evaluate evaluates the rule as Prometheus does once a minute, and returns
// what fires.
func (a *alert) evaluate(of *past, at time.Time) (firing []notice) {
	of.t.Helper()
	had := a.active
	a.active = map[string]time.Time{}
	for _, sample := range of.ask(a.Expr, at) {
		n := notice{
			Labels: map[string]string{"alertname": a.Alert}, Annotations: map[string]string{},
		}
		sample.Metric.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				n.Labels[l.Name] = l.Value
			}
		})
		for name, text := range a.Labels {
			n.Labels[name] = a.expand(of, text, sample)
		}
		for name, text := range a.Annotations {
			n.Annotations[name] = a.expand(of, text, sample)
		}
		key := labels.FromMap(n.Labels).String()
		if _, twice := a.active[key]; twice {
			of.t.Errorf("%s: two have the labels %s", a.Alert, key)
		}
		since, was := had[key]
		if !was {
			since = at
		}
		a.active[key] = since
		if at.Sub(since) >= time.Duration(a.For) {
			firing = append(firing, n)
		}
	}
	slices.SortFunc(firing, func(a, b notice) int {
		return labels.Compare(labels.FromMap(a.Labels), labels.FromMap(b.Labels))
	})
	return firing
}

func (a *alert) expand(of *past, text string, sample promql.Sample) string {
	of.t.Helper()
	data := template.AlertTemplateData(sample.Metric.Map(), nil, "", sample)
	expanded, err := template.NewTemplateExpander(of.t.Context(),
		"{{$labels := .Labels}}{{$value := .Value}}"+text, a.Alert, data, model.Time(sample.T), nil,
		nil,
		// Prometheus writes an empty text for a missing label.
		[]string{"missingkey=error"}).Expand()
	if err != nil {
		of.t.Errorf("%s: %v", a.Alert, err)
	}
	return expanded
}
