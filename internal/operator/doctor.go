package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/internal/dburl"
	"github.com/reporadar/pgsession/internal/variable"
	"github.com/reporadar/pgsession/sessionstore"
)

// finding is what one check of the doctor has found.
type finding struct {
	Check string `json:"check"`
	// State is ok, note or wrong. A note is for the operator to judge.
	State  string `json:"state"`
	Detail string `json:"detail"`
	// Remedy is what mends it, mostly a command; empty if it is ok.
	Remedy string `json:"remedy,omitempty"`
}

// The states of a finding.
const (
	fine  = "ok"
	note  = "note"
	wrong = "wrong"
)

// patient is an installation that the doctor looks at. Its checks read, but for
// one key in Redis that lasts a second.
type patient struct {
	*call

	cfg      sessionstore.Config
	schema   string
	pool     *pgxpool.Pool
	findings []finding
}

func (p *patient) add(check, state, detail, remedy string) {
	p.findings = append(p.findings, finding{check, state, detail, remedy})
}

// addError adds what a check could not find out.
func (p *patient) addError(check string, err error, remedy string) {
	p.add(check, wrong, "can't be checked: "+oneLine(err), cmp.Or(remedy, runAgain))
}

// runAgain is the remedy for a check that failed, where the error says it all.
const runAgain = "look at the error and at the log of the server, and run it again"

// oneLine returns the text of an error in one line.
func oneLine(err error) string {
	return strings.Join(strings.Fields(dburl.Explain(err)), " ")
}

// doctor finds what is wrong with an installation, and prints what mends it.
func doctor(ctx context.Context, c *call) error {
	p := &patient{call: c}
	p.examine(ctx)
	if p.pool != nil {
		p.pool.Close()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := p.print(); err != nil {
		return err
	}
	if slices.ContainsFunc(p.findings, func(f finding) bool { return f.State == wrong }) {
		return errFound
	}
	return nil
}

// examine runs the checks, as far as they can run.
func (p *patient) examine(ctx context.Context) {
	if !p.configuration() {
		return
	}
	p.redis(ctx)
	if !p.connection(ctx) {
		return
	}
	p.clock(ctx)
	p.pooler(ctx)
	p.settings(ctx)
	mayRead := p.owners(ctx)
	if p.shape(ctx) {
		p.role(ctx)
		p.obstacles(ctx)
		if mayRead {
			p.alarms(ctx)
		}
	}
	p.replication(ctx)
}

// configuration checks the environment: what leads to the sessions, and what an
// application needs beside it. It reports whether the former is there.
func (p *patient) configuration() bool {
	cfg, err := p.config()
	if err != nil {
		for _, fault := range each(err) {
			p.add("environment", wrong, oneLine(fault), "set it as the application has it")
		}
		// A fault of the cache keeps nothing else from being looked at.
		if cfg, err = p.config(cacheSettings...); err != nil {
			return false
		}
	}
	p.cfg, p.schema = cfg, cfg.Schema
	if p.schema == "" {
		p.schema = defaultSchema
	}
	_, err = sessionstore.ConfigFrom(p.lookup)
	for _, fault := range each(err) {
		p.add("environment", note, "an application would not start with it: "+oneLine(fault),
			"this command does not need it; look at the environment of the application")
	}
	unknown := variable.In(p.environ)
	for _, v := range unknown {
		p.add("environment", note, v.Name+" is set, and is no setting", v.Advice())
	}
	if err == nil && len(unknown) == 0 {
		p.add("environment", fine, "an application can start with it", "")
	}
	return true
}

// each returns the errors that one error consists of.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	var one misused
	if errors.As(err, &one) {
		return []error{one.error}
	}
	return []error{err}
}

// print prints the findings, the wrong ones last, where the eye falls.
func (p *patient) print() error {
	if p.json {
		return json.NewEncoder(p.out).Encode(struct {
			Healthy  bool      `json:"healthy"`
			Findings []finding `json:"findings"`
		}{
			!slices.ContainsFunc(p.findings, func(f finding) bool { return f.State == wrong }),
			p.findings,
		})
	}
	order := []string{fine, note, wrong}
	slices.SortStableFunc(p.findings, func(a, b finding) int {
		return slices.Index(order, a.State) - slices.Index(order, b.State)
	})
	for _, f := range p.findings {
		_, _ = fmt.Fprintf(p.out, "%-5s  %s: %s\n", f.State, f.Check, printable(f.Detail))
		if f.Remedy != "" {
			_, _ = fmt.Fprintf(p.out, "       -> %s\n", printable(f.Remedy))
		}
	}
	return nil
}
