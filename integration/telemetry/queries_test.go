package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/reporadar/pgsession/sessionstore"
)

// full is what Prometheus would have of a program in which all of it happened: loads that hit and miss, shared statements, a failure, a prune.
func full(t *testing.T) map[string][]series {
	t.Helper()
	p := newProgram(t)
	ctx := t.Context()
	ids := p.create("ada", 6)
	p.company(ids)
	eventually(t, "a load hits and one misses", func() bool {
		p.load(newCreated(p))
		p.load(ids[0])
		c := p.sessions.ChainStats().Cache
		return c.Hits > 0 && c.Misses > 0 && c.Fills > 0
	})
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.sessions.Store().Load(gone, newID(), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a load whose caller has left: %v", err)
	}
	late, cancel := context.WithDeadline(ctx, time.Now())
	defer cancel()
	if _, err := p.sessions.Store().Save(late, ids[0], change); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("a save that is too late: %v", err)
	}
	if _, err := p.admin.Exec(ctx, "UPDATE pgsession.sessions SET expires_at = now() - interval '1 hour' WHERE id = $1", ids[1][:]); err != nil {
		t.Fatal(err)
	}
	if n, err := p.sessions.Prune(ctx); n != 1 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	_, err := p.sessions.Store().Delete(ctx, ids[2])
	p.check(err)
	return p.scrape()
}

var promQL = parser.NewParser(parser.Options{})

// added are the labels that Prometheus adds to what it scrapes.
var added = []string{"job", "instance"}

// answered fails on a query that does not parse, or asks for what no program reports: a metric, or a label's value.
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
	// What is grouped by must be there too.
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
			fits = fits && (m.Name == model.MetricNameLabel || ours(m.Name) || m.Matches(s.labels[m.Name]))
		}
		if fits {
			return true
		}
	}
	return false
}

// ours: the label comes from elsewhere than the program.
func ours(label string) bool {
	return label == added[0] || label == added[1] || label == "le" // of each bucket
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

func module(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// alternatives takes a query apart in which a label may have one of several values, since each must be there.
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

func TestTheDashboardAsksForWhatThereIs(t *testing.T) {
	t.Parallel()
	found := full(t)
	type target struct {
		Expr string `json:"expr"`
	}
	var dashboard struct {
		UID        string
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []target
			GridPos struct{ H, W, X, Y int }
		}
	}
	dec := json.NewDecoder(bytes.NewReader(module(t, "otelsession/grafana/pgsession.json")))
	if err := dec.Decode(&dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID != "pgsession" {
		t.Errorf("its uid is %q", dashboard.UID)
	}
	variables := strings.NewReplacer("[$__rate_interval]", "[5m]", `=~"$job"`, `=~".+"`, `=~"$instance"`, `=~".+"`, `=~"$pool"`, `=~".+"`)
	seen, queries, asked := map[int]bool{}, 0, map[string]bool{}
	for _, panel := range dashboard.Panels {
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
	for _, v := range dashboard.Templating.List {
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
	// And it has everything there is, but for the parts of a histogram.
	for name := range found {
		if strings.HasPrefix(name, "pgsession_") && !asked[name] && !regexp.MustCompile("_(count|sum|bucket)$").MatchString(name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

func TestTheAlertsAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	found := full(t)
	text := module(t, "otelsession/prometheus/pgsession.yaml")
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, promQL, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if len(errs) > 0 {
		return
	}
	document := string(module(t, "docs/observability.md"))
	headings := map[string]bool{}
	for _, h := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(document, -1) {
		headings[h[1]] = true
	}
	rules := 0
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			rules++
			for _, one := range alternatives(rule.Expr) {
				answered(t, found, rule.Alert, one)
			}
			if !headings[rule.Alert] {
				t.Errorf("docs/observability.md does not say what to do about %s", rule.Alert)
			}
			delete(headings, rule.Alert)
			want := "https://github.com/reporadar/pgsession/blob/main/docs/observability.md#" + strings.ToLower(rule.Alert)
			if rule.Annotations["runbook_url"] != want || rule.Annotations["summary"] == "" || rule.Labels["severity"] == "" {
				t.Errorf("%s: annotations %v, labels %v", rule.Alert, rule.Annotations, rule.Labels)
			}
		}
	}
	if rules < 10 {
		t.Errorf("only %d rules", rules)
	}
	for name := range headings {
		t.Errorf("docs/observability.md tells of %s, which no rule raises", name)
	}
}
