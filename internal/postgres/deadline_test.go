package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// scripted is a server of Postgres's protocol. It answers every statement but
// hangOn, with nothing.
type scripted struct {
	listener net.Listener
	accepted atomic.Int32  // connections for statements
	hanging  chan struct{} // one for each statement that gets no answer
	cancels  chan struct{} // one for each request to cancel a statement
}

const hangOn = "hang"

func newScripted(t *testing.T) *scripted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{
		listener: listener, hanging: make(chan struct{}, 100), cancels: make(chan struct{}, 100),
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				s.serve(conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return s
}

func (s *scripted) serve(conn net.Conn) {
	b := pgproto3.NewBackend(conn, conn)
	first, err := b.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if _, ok := first.(*pgproto3.CancelRequest); ok {
		select {
		case s.cancels <- struct{}{}:
		default: // enough of them for any test
		}
		return
	}
	s.accepted.Add(1)
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte("1234")})
	for b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'}); b.Flush() == nil; {
		message, err := b.Receive()
		if err != nil {
			return
		}
		query, ok := message.(*pgproto3.Query)
		switch {
		case !ok: // Terminate
			return
		case query.String == hangOn:
			s.hanging <- struct{}{}
			continue
		}
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}
}

// executor returns one over a pool of that many connections.
func (s *scripted) executor(t *testing.T, connections int) *executor {
	t.Helper()
	url := fmt.Sprintf("postgres://test@%s/test?sslmode=disable&pool_max_conns=%d",
		s.listener.Addr(), connections)
	conns, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conns.Close)
	return &executor{
		pool: newPool(conns, "pgsession"), timeout: time.Minute, tallies: new(tallies),
	}
}

// sends is a statement that sends queries, one after the other.
func sends(op operation, queries ...string) statement {
	return statement{op: op, conn: func(ctx context.Context, conn *pgxpool.Conn) error {
		for _, q := range queries {
			if _, err := conn.Conn().PgConn().Exec(ctx, q).ReadAll(); err != nil {
				return err
			}
		}
		return nil
	}}
}

// wantFresh fails unless the next statement runs on a connection that is the
// n-th of the server.
func (s *scripted) wantFresh(t *testing.T, x *executor, n int32) {
	t.Helper()
	if err := x.exec(t.Context(), sends(opLoad, "ok")); err != nil {
		t.Error("the next statement:", err)
	}
	if got := s.accepted.Load(); got != n {
		t.Errorf("the server has seen %d connections, want %d", got, n)
	}
}

func TestACancelledCallerReturnsWhileTheServerHangs(t *testing.T) {
	t.Parallel()
	for _, op := range []operation{opLoad, opSave} {
		s := newScripted(t)
		x := s.executor(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-s.hanging
			cancel()
		}()
		err := x.exec(ctx, sends(op, hangOn))
		if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, want context.Canceled", operations[op].name, err)
		}
		if errors.Is(err, store.ErrOutcomeUnknown) != (op == opSave) {
			t.Errorf("%s: %v: only the outcome of a change is unknown", operations[op].name, err)
		}
		<-s.cancels // the server, too, stops the statement
		s.wantFresh(t, x, 2)
	}
}

func TestADeadlineEndsAStatement(t *testing.T) {
	t.Parallel()
	for _, op := range []operation{opLoad, opSave} {
		s := newScripted(t)
		x := s.executor(t, 1)
		x.timeout = 50 * time.Millisecond
		began := time.Now()
		err := x.exec(t.Context(), sends(op, hangOn))
		if time.Since(began) < x.timeout {
			t.Error("it ended before its deadline")
		}
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, want a timeout", operations[op].name, err)
		}
		if errors.Is(err, store.ErrOutcomeUnknown) != (op == opSave) {
			t.Errorf("%s: %v: only the outcome of a change is unknown", operations[op].name, err)
		}
		<-s.cancels
		x.timeout = time.Minute
		s.wantFresh(t, x, 2)
	}
}

// The deadline of the caller counts where it is earlier.
func TestTheCallersDeadlineEndsAStatement(t *testing.T) {
	t.Parallel()
	s := newScripted(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := s.executor(t, 1).exec(ctx, sends(opLoad, hangOn))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want a timeout", err)
	}
}

// While the pool's only connection is taken, callers wait for it, but not
// longer than they may.
func TestACallerWaitsForAConnectionWithinItsTime(t *testing.T) {
	t.Parallel()
	s := newScripted(t)
	x := s.executor(t, 1)
	conn, err := x.pool.conns.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	x.timeout = 50 * time.Millisecond
	err = x.exec(t.Context(), sends(opSave, "ok"))
	var f *failure
	if !errors.As(err, &f) || f.class != classBusy || errors.Is(err, store.ErrOutcomeUnknown) {
		t.Errorf("%v, want an error of a full pool", err)
	}
	x.timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for x.pool.conns.Stat().AcquiredConns() == 0 { // it waits
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err = x.exec(ctx, sends(opSave, "ok"))
	if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrOutcomeUnknown) {
		t.Errorf("%v, want context.Canceled", err)
	}
	conn.Release()
	s.wantFresh(t, x, 1)
}

// A statement that was not sent because its caller had left had no effect.
func TestAStatementThatEndsBeforeItIsSent(t *testing.T) {
	t.Parallel()
	s := newScripted(t)
	x := s.executor(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	late := sends(opSave, "ok")
	send := late.conn
	late.conn = func(ctx context.Context, conn *pgxpool.Conn) error {
		cancel()
		<-ctx.(attached).bounded.Done()
		return send(ctx, conn)
	}
	err := x.exec(ctx, late)
	if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrOutcomeUnknown) {
		t.Errorf("%v, want context.Canceled alone", err)
	}
	s.wantFresh(t, x, 2)
}

// A caller that leaves after the last reply has its result, and the connection
// serves the next one.
func TestAnEndAfterTheReplySparesTheConnection(t *testing.T) {
	t.Parallel()
	s := newScripted(t)
	x := s.executor(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := sends(opSave, "ok")
	send := left.conn
	left.conn = func(ctx context.Context, conn *pgxpool.Conn) error {
		err := send(ctx, conn)
		cancel()
		<-ctx.(attached).bounded.Done()
		return err
	}
	if err := x.exec(ctx, left); err != nil {
		t.Error(err)
	}
	s.wantFresh(t, x, 1)
}

// Callers that leave at any moment do no harm to those that come after them on
// the same connections.
func TestCallersThatLeaveAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := newScripted(t)
	x := s.executor(t, 2)
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for range 500 {
				ctx, cancel := context.WithCancel(t.Context())
				leave := time.AfterFunc(rand.N(200*time.Microsecond), cancel)
				if err := x.exec(ctx, sends(opLoad, "ok", "ok")); err != nil &&
					!errors.Is(err, context.Canceled) {
					t.Error("a caller that leaves:", err)
				}
				leave.Stop()
				cancel()
				if err := x.exec(t.Context(), sends(opSave, "ok")); err != nil {
					t.Error("a caller that stays:", err)
				}
			}
		})
	}
	callers.Wait()
	if n := len(x.pool.alarm.watched); n != 0 {
		t.Errorf("%d contexts are still watched", n)
	}
}

type keyOfTest struct{}

// pgx gets a context that it has nothing to watch of, with the caller's values,
// and one timer serves all statements.
func TestAStatementCostsNoWatchAndNoTimer(t *testing.T) {
	t.Parallel()
	x := newScripted(t).executor(t, 1)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), keyOfTest{}, "value"))
	defer cancel()
	looks := statement{op: opLoad, conn: func(ctx context.Context, _ *pgxpool.Conn) error {
		if ctx.Done() != nil || ctx.Err() != nil {
			t.Error("pgx would watch the context")
		}
		if ctx.Value(keyOfTest{}) != "value" {
			t.Error("the values of the caller's context are missing")
		}
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > x.timeout {
			t.Error("the deadline is missing")
		}
		return nil
	}}
	var first time.Time
	for i := range 10 {
		if err := x.exec(ctx, looks); err != nil {
			t.Fatal(err)
		}
		at := x.pool.alarm.at
		if i > 0 && at != first {
			t.Fatal("the timer was set for each statement")
		}
		first = at
	}
}

func TestBoundedContextsEndInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a alarm
		var waiting sync.WaitGroup
		began := time.Now()
		parent, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		for _, c := range []struct {
			parent context.Context
			within time.Duration
			want   time.Duration
		}{
			{t.Context(), 5 * time.Second, 5 * time.Second},
			{t.Context(), time.Second, time.Second}, // the timer moves forward
			{t.Context(), 3 * time.Second, 3 * time.Second},
			{parent, 4 * time.Second, 2 * time.Second},
		} {
			b := a.bound(c.parent, began.Add(c.within))
			waiting.Go(func() {
				defer b.finish()
				<-b.Done()
				if got := time.Since(began); got != c.want || b.Err() != context.DeadlineExceeded {
					t.Errorf("ended after %s with %v, want %s", got, b.Err(), c.want)
				}
			})
		}
		finished := a.bound(t.Context(), began.Add(4*time.Second))
		finished.finish()
		if <-finished.Done(); finished.Err() != context.Canceled {
			t.Error("a finished context:", finished.Err())
		}
		waiting.Wait()
		time.Sleep(time.Minute)
		if len(a.watched) != 0 || !a.at.IsZero() {
			t.Error("the timer goes on without a context")
		}
	})
}

func TestABoundedContextEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var a alarm
		caller, cancel := context.WithCancel(t.Context())
		b := a.bound(caller, time.Now().Add(time.Second))
		defer b.finish()
		cancel()
		if <-b.Done(); b.Err() != context.Canceled {
			t.Error(b.Err())
		}
		late := a.bound(caller, time.Now().Add(time.Second))
		defer late.finish()
		if late.Err() != context.Canceled {
			t.Error("the context of a caller that has left:", late.Err())
		}
	})
}
