package telemetry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/reporadar/pgsession/integration/internal/testkit"
	"github.com/reporadar/pgsession/integration/pgtest"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// during returns the spans of do: one call of the application, and within it
// those of others, each with its result. It waits for a fill, which runs beside
// the call.
func (p *program) during(do func()) string {
	p.t.Helper()
	p.spans.Reset()
	fills := func() int64 {
		c := p.sessions.Metrics().Cache
		return c.Fills + c.FillsRefused + c.FillsFailed
	}
	before, misses := fills(), p.sessions.Metrics().Cache.Misses+p.sessions.Metrics().Cache.Stale
	do()
	if filled := p.sessions.Metrics().Cache; filled.Misses+filled.Stale > misses {
		testkit.Eventually(p.t, "what was missing is filled in", func() bool {
			return fills() > before && strings.Contains(outline(p.spans.GetSpans()), "fill")
		})
	}
	return outline(p.spans.GetSpans())
}

// outline fails on spans that belong to no one call.
func outline(spans tracetest.SpanStubs) string {
	slices.SortStableFunc(spans, func(a, b tracetest.SpanStub) int {
		return a.StartTime.Compare(b.StartTime)
	})
	var within []string
	for _, s := range spans[1:] {
		if s.Parent.SpanID() != spans[0].SpanContext.SpanID() ||
			s.SpanKind != oteltrace.SpanKindClient {
			return fmt.Sprintf("%s is of kind %v, and not within %s", s.Name, s.SpanKind,
				spans[0].Name)
		}
		within = append(within, s.Name+" "+attributeOf(s, "pgsession.result"))
	}
	return spans[0].Name + "(" + strings.Join(within, ", ") + ")"
}

func attributeOf(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// On a busy machine Redis may answer too late, so the load is repeated.
func TestTraceOfALoadOnRealServers(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	if got := p.during(func() { p.create("ada", 1) }); got != "session create(INSERT sessions ok)" {
		t.Error(got)
	}
	trace := func(want string, of func() store.ID) (id store.ID) {
		t.Helper()
		got := ""
		testkit.Eventually(t, want, func() bool {
			id = of()
			got = p.during(func() { p.load(id) })
			return got == want
		})
		return id
	}
	const missed = "session load(cache get miss, SELECT sessions ok, cache fill stored)"
	id := trace(missed, func() store.ID { return newCreated(p) })
	for _, s := range p.spans.GetSpans() {
		got := attributeOf(s, "pgsession.statement.calls")
		if s.Name == "SELECT sessions" && got != "1" {
			t.Errorf("the statement served %q calls", got)
		}
	}
	same := func() store.ID { return id }
	trace("session load(cache get hit)", same)
	trace("session load(cache get stale, SELECT sessions ok, cache fill stored)", same)
	p.redis.Pause()
	defer p.redis.Resume()
	trace("session load(cache get unavailable, SELECT sessions ok)", func() store.ID {
		return newCreated(p)
	})
	failed := 0
	for _, s := range p.spans.GetSpans() {
		if attributeOf(s, "error.type") == "unavailable" {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d spans failed, want that of the cache", failed)
	}
}

func newCreated(p *program) store.ID { return p.create("", 1)[0] }

// Spans are of calls, durations of db.client are of statements: as many as
// Metrics has.
func TestSharedStatementsOnRealServers(t *testing.T) {
	t.Parallel()
	const many = 12
	p := newProgram(t)
	ids := p.create("ada", many)
	p.spans.Reset()
	p.company(ids)
	var shared, alone int
	for _, s := range p.spans.GetSpans() {
		if s.Name != "UPDATE sessions" {
			continue
		}
		switch calls := attributeOf(s, "pgsession.statement.calls"); calls {
		case fmt.Sprint(many - 2):
			shared++
		case "1":
			alone++
		default:
			t.Errorf("a span says %q calls", calls)
		}
		if s.Parent.SpanID() == (oteltrace.SpanID{}) {
			t.Error("a span of Postgres belongs to no call")
		}
	}
	if shared != many-2 || alone != 2 {
		t.Errorf("%d spans of calls that shared a statement, %d of others", shared, alone)
	}
	stats := p.sessions.Metrics().Postgres.Saves
	if stats.Statements != 3 || stats.Shared != many-2 {
		t.Fatalf("%+v", stats)
	}
	p.counts(3, "pgsession_postgres_statements_total", "pgsession_operation=save")
	p.counts(many, "pgsession_postgres_calls_total", "pgsession_operation=save")
	p.counts(many-2, "pgsession_postgres_shared_calls_total", "pgsession_operation=save")
	p.counts(many-2, "pgsession_postgres_largest_batch", "pgsession_operation=save")
	p.counts(3, "db_client_operation_duration_seconds_count", "pgsession_operation=save",
		"db_query_summary=UPDATE sessions")
	p.counts(many, "pgsession_operation_duration_seconds_count", "pgsession_operation=save",
		"pgsession_layer=postgres")
	p.counts(many, "pgsession_operation_duration_seconds_count", "pgsession_operation=save",
		"pgsession_layer=session")
}

// counts fails unless a metric's series with these labels have that sum.
func (p *program) counts(want float64, name string, labels ...string) {
	p.t.Helper()
	got, found := 0.0, false
	for _, s := range p.scrape()[name] {
		if !slices.ContainsFunc(labels, func(l string) bool {
			key, value, _ := strings.Cut(l, "=")
			return s.labels[key] != value
		}) {
			got, found = got+s.value, true
		}
	}
	if !found || got != want {
		p.t.Errorf("%s%v is %v (found: %v), want %v", name, labels, got, found, want)
	}
}

func TestWhatPostgresRefusesHasItsCode(t *testing.T) {
	t.Parallel()
	p := newProgram(t, func(c *sessionstore.Config) { c.Cache.UseRedis = false })
	id := newCreated(p)
	pgtest.Exec(t, p.admin, "ALTER TABLE pgsession.sessions RENAME TO elsewhere")
	if _, err := p.sessions.Store().Load(t.Context(), id, 0); err == nil {
		t.Fatal("loaded from a table that is not there")
	}
	const code = "42P01"
	p.counts(1, "db_client_operation_duration_seconds_count", "pgsession_operation=load",
		"error_type="+code, "db_response_status_code="+code)
	p.counts(1, "pgsession_operation_duration_seconds_count", "pgsession_operation=load",
		"pgsession_layer=session", "error_type=unavailable")
	if found := p.scrape()["pgsession_cache_loads_total"]; found != nil {
		t.Errorf("there is no cache, and it counts %v", found)
	}
}

func TestThePoolIsSeen(t *testing.T) {
	t.Parallel()
	p := newProgram(t, func(c *sessionstore.Config) { c.DatabaseURL += "&pool_max_conns=2" })
	ids := p.create("ada", 2)
	tx, err := p.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(),
		"LOCK TABLE pgsession.sessions IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	// Waits for locked rows share half of the pool, loads take all of it.
	done := make(chan error, 2)
	for _, id := range ids {
		go func() { _, err := p.sessions.Store().Load(t.Context(), id, 0); done <- err }()
	}
	testkit.Eventually(t, "both connections are used", func() bool {
		return p.sessions.Metrics().Postgres.Pool.Used == 2
	})
	p.counts(2, "db_client_connection_count", "db_client_connection_state=used",
		"db_client_connection_pool_name=pgsession")
	p.counts(2, "db_client_connection_max")
	p.check(tx.Rollback(t.Context()))
	for range 2 {
		p.check(<-done)
	}
	pool := p.sessions.Metrics().Postgres.Pool
	if pool.Waits == 0 || pool.Waited <= 0 {
		t.Fatalf("the connections were not waited for: %+v", pool)
	}
	p.counts(0, "db_client_connection_count", "db_client_connection_state=used")
	p.counts(float64(pool.Waits), "pgsession_pool_waits_total")
	p.counts(pool.Waited.Seconds(), "pgsession_pool_wait_time_seconds_total")
}

func TestTraceOfATransactionOfTheApplications(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.create("ada", 3)
	tx, err := p.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	revocations := p.sessions.WithTx(tx)
	got := p.during(func() {
		if n, err := revocations.RevokeUser(t.Context(), "ada"); n != 3 || err != nil {
			t.Errorf("%d revoked, %v", n, err)
		}
	})
	if got != "session revoke(DELETE sessions ok)" {
		t.Error(got)
	}
	p.check(tx.Commit(t.Context()))
	p.spans.Reset()
	revocations.AfterCommit(t.Context())
	spans := p.spans.GetSpans()
	slices.SortStableFunc(spans, func(a, b tracetest.SpanStub) int {
		return a.StartTime.Compare(b.StartTime)
	})
	if len(spans) == 0 || spans[0].Name != "cache tombstone" {
		t.Fatal("the first call is not the tombstone")
	}
	if got := outline(spans[1:]); got != "session revoke(DELETE sessions ok)" {
		t.Error(got)
	}
}
