package telemetry_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// added are the labels that Prometheus adds to what it scrapes.
var added = []string{"job", "instance"}

// answered fails on a query that does not parse, or that uses a metric or a
// label's value that no program reports.
func answered(t *testing.T, found map[string][]series, where, query string) {
	t.Helper()
	expr, err := promQL.ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, query)
		return
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok && !selected(found[s.Name], s.LabelMatchers) {
			t.Errorf("%s: nothing is %s", where, s)
		}
		return nil
	})
	// The labels of "by" must be there too.
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			for _, label := range a.Grouping {
				if !labelled(a.Expr, found, label) {
					t.Errorf("%s: nothing in %s has the label %s", where, a, label)
				}
			}
		}
		return nil
	})
}

func selected(of []series, matchers []*labels.Matcher) bool {
	for _, s := range of {
		fits := true
		for _, m := range matchers {
			fits = fits &&
				(m.Name == model.MetricNameLabel || ours(m.Name) || m.Matches(s.labels[m.Name]))
		}
		if fits {
			return true
		}
	}
	return false
}

// ours reports that a label does not come from the program.
func ours(label string) bool {
	return label == added[0] || label == added[1]
}

func labelled(expr parser.Expr, found map[string][]series, label string) bool {
	if ours(label) {
		return true
	}
	has := false
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			for _, one := range found[s.Name] {
				has = has || one.labels[label] != ""
			}
		}
		return nil
	})
	return has
}

func module(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// alternatives splits a query in which a label may have one of several values,
// since each must be there.
func alternatives(query string) (all []string) {
	several := regexp.MustCompile(`(\w+)=~"([^"$.]+\|[^"]+)"`).FindStringSubmatch(query)
	if several == nil {
		return []string{query}
	}
	for value := range strings.SplitSeq(several[2], "|") {
		all = append(all, strings.Replace(query, several[0], several[1]+`="`+value+`"`, 1))
	}
	return all
}

func TestTheAlertsAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	found := full(t).scrape()
	text := module(t, "otelsession/prometheus/pgsession.yaml")
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, promQL,
		slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if len(errs) > 0 {
		return
	}
	document := string(module(t, "docs/operations/alerts.md"))
	headings, sections := map[string]bool{}, map[string]string{}
	for _, section := range strings.Split(document, "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		headings[name], sections[name] = true, text
	}
	// An operator of a release reads the documents of that release.
	newest := regexp.MustCompile(`(?m)^## ([0-9.]+)`).FindSubmatch(module(t, "CHANGELOG.md"))
	if newest == nil {
		t.Fatal("CHANGELOG.md has no version")
	}
	version := string(newest[1])
	rules := 0
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			rules++
			for _, one := range alternatives(rule.Expr) {
				answered(t, found, rule.Alert, one)
			}
			if !headings[rule.Alert] {
				t.Errorf("docs/operations/alerts.md does not say what to do about %s", rule.Alert)
			}
			delete(headings, rule.Alert)
			for _, part := range []string{
				"\n**" + rule.Labels["severity"] + ".** ", "\n- **Check** ", "\n- **Fix** ",
				"\n- **Done when** ",
			} {
				if strings.Count(sections[rule.Alert], part) != 1 {
					t.Errorf("the section of %s has not one %q", rule.Alert, part)
				}
			}
			want := "https://github.com/reporadar/pgsession/blob/v" + version +
				"/docs/operations/alerts.md#" +
				strings.ToLower(rule.Alert)
			if rule.Annotations["runbook_url"] != want || rule.Annotations["summary"] == "" ||
				rule.Labels["severity"] == "" {
				t.Errorf("%s: annotations %v, labels %v", rule.Alert, rule.Annotations, rule.Labels)
			}
		}
	}
	if rules < 10 {
		t.Errorf("only %d rules", rules)
	}
	for name := range headings {
		t.Errorf("docs/operations/alerts.md has a section on %s, which no rule raises", name)
	}
}
