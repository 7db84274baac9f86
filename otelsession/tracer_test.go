package otelsession_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// only returns the one span that ended since the last call, except those of
// requests.
func (k *telemetry) only(name string) tracetest.SpanStub {
	k.t.Helper()
	defer k.spans.Reset()
	var found []tracetest.SpanStub
	for _, s := range k.spans.GetSpans() {
		if s.Name != "GET /" {
			found = append(found, s)
		}
	}
	if len(found) != 1 || found[0].Name != name {
		k.t.Fatalf("spans %v, want %q", found, name)
	}
	return found[0]
}

func TestCallsOfARequestAreSpansOfIt(t *testing.T) {
	s := newSite(t)
	cookie := s.newcomer()
	s.only("session create")
	if _, err := s.visit(cookie, nil); err != nil {
		t.Fatal(err)
	}
	spans := s.spans.GetSpans()
	load := s.only("session load")
	if request := spans[len(spans)-1]; load.Parent.SpanID() != request.SpanContext.SpanID() ||
		load.SpanContext.TraceID() != request.SpanContext.TraceID() {
		t.Errorf("the parent of %v is %v", load.Name, load.Parent)
	}
	if load.SpanKind != oteltrace.SpanKindInternal || load.Status.Code != codes.Unset {
		t.Errorf("a span of kind %v, with status %v", load.SpanKind, load.Status)
	}
	if got := load.InstrumentationScope; got.Name != "github.com/reporadar/pgsession/otelsession" ||
		got.SchemaURL != "https://opentelemetry.io/schemas/1.43.0" {
		t.Errorf("scope %+v", got)
	}
	for key, want := range map[string]string{
		"pgsession.layer": "session", "pgsession.operation": "load", "pgsession.result": "ok",
		"error.type": "",
	} {
		if got := attributeOf(load, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if load.EndTime.Before(load.StartTime) {
		t.Errorf("it lasts from %v to %v", load.StartTime, load.EndTime)
	}
	s.counts(1, "pgsession.operation.duration", "pgsession.layer=session",
		"pgsession.operation=load", "pgsession.result=ok")
	s.counts(1, "pgsession.operation.duration", "pgsession.layer=session",
		"pgsession.operation=create", "pgsession.result=ok")
}

func TestEveryOperationHasASpan(t *testing.T) {
	s := newSite(t)
	cookie := s.newcomer()
	s.only("session create")
	change := func(do func(*http.Request, *sessionstore.Session) error) {
		t.Helper()
		var err error
		if cookie, err = s.visit(cookie, func(r *http.Request, sess *sessionstore.Session) error {
			s.spans.Reset()
			return do(r, sess)
		}); err != nil {
			t.Fatal(err)
		}
	}
	change(func(_ *http.Request, sess *sessionstore.Session) error {
		return sess.Set("seen", false)
	})
	s.only("session save")
	change(func(r *http.Request, sess *sessionstore.Session) error {
		return sess.Login(r.Context(), "ada")
	})
	s.only("session rotate")
	change(func(r *http.Request, sess *sessionstore.Session) error {
		return sess.Logout(r.Context())
	})
	s.only("session delete")
	ctx := t.Context()
	for name, do := range map[string]func() error{
		"session list": func() error {
			_, err := s.manager.List(ctx, "ada", sessionstore.Page{})
			return err
		},
		"session revoke": func() error { _, err := s.manager.RevokeUser(ctx, "ada"); return err },
		"session stats":  func() error { _, err := s.manager.Stats(ctx); return err },
		"session prune":  func() error { _, err := s.manager.Prune(ctx); return err },
		"session touch":  func() error { return s.manager.Store().Touch(ctx, nil) },
		"session alive": func() error {
			_, _, err := s.manager.Store().Alive(ctx, nil)
			return err
		},
	} {
		if err := do(); err != nil {
			t.Error(err)
		}
		s.only(name)
	}
}

func TestSpansAndDurationsOfWhatFails(t *testing.T) {
	s := newSite(t)
	cookie := s.newcomer()
	s.only("session create")
	for _, c := range []struct {
		err            error
		result, failed string
	}{
		{store.ErrExpired, "expired", ""},
		{sessionstore.ErrNotFound, "not_found", ""},
		{store.ErrExists, "exists", ""},
		{sessionstore.ErrTooManySessions, "too_many_sessions", ""},
		{sessionstore.ErrRevoked, "revoked", ""},
		{sessionstore.ErrNoPendingLogin, "no_pending_login", ""},
		{store.ErrConstraint, "failed", "constraint"},
		{unavailable(errors.New("gone")), "failed", "unavailable"},
		{unavailable(context.DeadlineExceeded), "failed", "timeout"},
		{fmt.Errorf("%w (%w)", unavailable(context.DeadlineExceeded),
			sessionstore.ErrOutcomeUnknown), "failed", "outcome_unknown"},
		{context.Canceled, "failed", "canceled"},
		{errors.New("unknown"), "failed", "_OTHER"},
	} {
		s.store.Inject(fault.Rule{Err: c.err}, store.OpLoad)
		_, _ = s.visit(cookie, nil)
		span := s.only("session load")
		if got := attributeOf(span, "pgsession.result"); got != c.result {
			t.Errorf("%v: the result is %q, want %q", c.err, got, c.result)
		}
		if got := attributeOf(span, "error.type"); got != c.failed {
			t.Errorf("%v: the type is %q, want %q", c.err, got, c.failed)
		}
		if failed := c.failed != ""; (span.Status.Code == codes.Error) != failed ||
			span.Status.Description != "" || len(span.Events) > 0 {
			t.Errorf("%v: status %v, events %v", c.err, span.Status, span.Events)
		}
		attributes := []string{"pgsession.operation=load", "pgsession.result=" + c.result}
		if c.failed != "" {
			attributes = append(attributes, "error.type="+c.failed)
		}
		s.counts(1, "pgsession.operation.duration", attributes...)
	}
}

// An error that a store can return has a result or a type of its own. Otherwise
// a new refusal would count as a failed call, which raises an alert.
func TestErrorsOfAStoreAreClassified(t *testing.T) {
	source, err := os.ReadFile("../sessionstore/store/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]error{
		"ErrUnavailable": store.ErrUnavailable, "ErrOutcomeUnknown": store.ErrOutcomeUnknown,
		"ErrOutage": store.ErrOutage, "ErrBrokenRow": store.ErrBrokenRow,
		"ErrConstraint": store.ErrConstraint, "ErrNotFound": store.ErrNotFound,
		"ErrExpired": store.ErrExpired, "ErrEnded": store.ErrEnded,
		"ErrReplaced": store.ErrReplaced, "ErrExists": store.ErrExists,
		"ErrTooManySessions": store.ErrTooManySessions, "ErrRevoked": store.ErrRevoked,
		"ErrNoPendingLogin": store.ErrNoPendingLogin,
	}
	untraced := map[string]bool{"ErrEventCursor": true} // found after the statement
	k := newTelemetry(t)
	tracer := otelsession.NewTracer(k.options()...)
	call := sessionstore.Call{Layer: store.LayerSession, Operation: store.OpSave}
	names := regexp.MustCompile(`(?m)^\t(Err\w+) += `).FindAllSubmatch(source, -1)
	if len(names) < len(known) {
		t.Fatalf("%d errors found in errors.go, at least %d wanted", len(names), len(known))
	}
	for _, m := range names {
		name := string(m[1])
		switch err := known[name]; {
		case untraced[name]:
		case err == nil:
			t.Errorf("%s is not in this test", name)
		default:
			tracer.TraceEnd(tracer.TraceStart(t.Context(), call), call,
				sessionstore.CallResult{Err: err})
			if attributeOf(k.only("session save"), "error.type") == "_OTHER" {
				t.Errorf("%s has neither a result nor a type", name)
			}
		}
	}
}

// The layers below the session store, as the library reports them.
func TestSpansOfTheCacheAndOfPostgres(t *testing.T) {
	k := newTelemetry(t)
	tracer := otelsession.NewTracer(
		k.options(otelsession.WithAttributes(attribute.String("db.namespace", "shop")))...)
	for _, c := range []struct {
		call       sessionstore.Call
		result     sessionstore.CallResult
		name       string
		attributes string
	}{
		{
			sessionstore.Call{Layer: store.LayerCache, Operation: store.OpGet},
			sessionstore.CallResult{Cache: store.CacheStale},
			"cache get", "db.system.name=redis db.operation.name=GET pgsession.result=stale",
		},
		{
			sessionstore.Call{Layer: store.LayerCache, Operation: store.OpTombstone},
			sessionstore.CallResult{Cache: store.CacheFailed},
			"cache tombstone",
			"db.system.name=redis db.operation.name=EVALSHA pgsession.result=failed " +
				"error.type=unavailable",
		},
		{
			sessionstore.Call{Layer: store.LayerPostgres, Operation: store.OpLoad},
			sessionstore.CallResult{Calls: 12},
			"SELECT sessions",
			"db.system.name=postgresql db.operation.name=SELECT db.collection.name=sessions " +
				"pgsession.operation=load pgsession.statement.calls=12 db.namespace=shop",
		},
		{
			sessionstore.Call{Layer: store.LayerPostgres, Operation: store.OpPrune},
			sessionstore.CallResult{},
			"SELECT prune_batch", "db.stored_procedure.name=prune_batch pgsession.result=ok",
		},
	} {
		tracer.TraceEnd(tracer.TraceStart(t.Context(), c.call), c.call, c.result)
		span := k.only(c.name)
		if span.SpanKind != oteltrace.SpanKindClient {
			t.Errorf("%s is of kind %v", c.name, span.SpanKind)
		}
		for _, a := range strings.Fields(c.attributes) {
			key, want, _ := strings.Cut(a, "=")
			if got := attributeOf(span, key); got != want {
				t.Errorf("%s: %s is %q, want %q", c.name, key, got, want)
			}
		}
	}
	k.counts(1, "pgsession.operation.duration", "pgsession.layer=cache", "pgsession.result=stale",
		"db.namespace=shop")
	k.counts(1, "pgsession.operation.duration", "pgsession.layer=postgres",
		"pgsession.operation=load")
}

// A statement has no span. Its duration is recorded once for all calls that
// share it.
func TestStatementsAreMeasured(t *testing.T) {
	k := newTelemetry(t)
	tracer := otelsession.NewTracer(k.options()...)
	c := sessionstore.Call{Layer: store.LayerStatement, Operation: store.OpSave}
	tracer.TraceEnd(tracer.TraceStart(t.Context(), c), c, sessionstore.CallResult{})
	tracer.TraceEnd(tracer.TraceStart(t.Context(), c), c,
		sessionstore.CallResult{Err: unavailable(context.DeadlineExceeded)})
	tracer.TraceEnd(tracer.TraceStart(t.Context(), c), c,
		sessionstore.CallResult{Err: sessionstore.ErrUnavailable, SQLState: "53300"})
	began := oteltrace.SpanFromContext(tracer.TraceStart(t.Context(), c)).SpanContext().IsValid()
	if spans := k.spans.GetSpans(); len(spans) > 0 || began {
		t.Errorf("spans: %v; one has begun: %v", spans, began)
	}
	const name = "db.client.operation.duration"
	k.counts(3, name, "db.system.name=postgresql", "db.operation.name=UPDATE",
		"db.query.summary=UPDATE sessions")
	k.counts(1, name, "error.type=timeout")
	k.counts(1, name, "error.type=53300", "db.response.status_code=53300")
	k.lacks("pgsession.operation.duration")
}

// A Tracer ends only calls that it started.
func TestATracerEndsWhatItStarted(t *testing.T) {
	k := newTelemetry(t)
	tracer := otelsession.NewTracer(k.options()...)
	tracer.TraceEnd(t.Context(),
		sessionstore.Call{Layer: store.LayerSession, Operation: store.OpLoad},
		sessionstore.CallResult{})
	if points, spans := k.collect(), k.spans.GetSpans(); len(points)+len(spans) > 0 {
		t.Errorf("%v, %v", points, spans)
	}
}
