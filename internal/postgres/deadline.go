package postgres

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// bounded is the context of a statement. It ends at a deadline, or with the
// context of the caller. In that it is context.WithDeadline, but costs no
// timer: see alarm. And it interrupts a connection itself, so that pgx need not
// watch it: see attach.
type bounded struct {
	context.Context // of the caller
	until           time.Time
	alarm           *alarm
	done            chan struct{}
	unwatch         func() bool // stops watching the caller's context

	mu  sync.Mutex
	err error // why it has ended; nil before
	// conn is the connection to interrupt; nil between detach and attach.
	conn net.Conn
}

// Deadline implements context.Context.
func (b *bounded) Deadline() (time.Time, bool) { return b.until, true }

// Done implements context.Context.
func (b *bounded) Done() <-chan struct{} { return b.done }

// Err implements context.Context.
func (b *bounded) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// bound returns a context that ends at the deadline of ctx or at until. Call
// its finish, which is what context.WithDeadline's cancel is.
func (a *alarm) bound(ctx context.Context, until time.Time) *bounded {
	if own, ok := ctx.Deadline(); ok && own.Before(until) {
		until = own
	}
	b := &bounded{Context: ctx, until: until, alarm: a, done: make(chan struct{})}
	if err := ctx.Err(); err != nil {
		b.end(err)
		return b
	}
	if ctx.Done() != nil {
		b.unwatch = context.AfterFunc(ctx, func() { b.end(ctx.Err()) })
	}
	a.add(b)
	return b
}

func (b *bounded) finish() {
	if b.unwatch != nil {
		b.unwatch() // if that is too late, end finds no connection
	}
	b.alarm.remove(b)
	b.end(context.Canceled)
}

// end ends the context, once. A read or write on the connection returns at
// once, with an error that makes pgx close the connection.
func (b *bounded) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return
	}
	b.err = err
	close(b.done)
	if b.conn != nil {
		_ = b.conn.SetDeadline(longAgo)
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// attach makes the end of the context interrupt the connection, until detach.
// It returns the context for pgx, or why the context has ended.
func (b *bounded) attach(conn *pgconn.PgConn) (context.Context, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	b.conn = conn.Conn()
	return attached{b}, nil
}

// detach comes before the connection goes back to the pool. No later end
// reaches the connection. If one came after the last reply was read, the
// connection is good and loses the deadline again. pgx has closed any other,
// and is setting a deadline of its own for that.
func (b *bounded) detach(conn *pgconn.PgConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil && !conn.IsClosed() {
		_ = b.conn.SetDeadline(time.Time{})
	}
	b.conn = nil
}

// attached is the context of a statement that has its connection. It never
// ends: pgx would watch one that can, and its error would hide whether the
// statement was sent.
type attached struct{ *bounded }

// Done implements context.Context.
func (attached) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (attached) Err() error { return nil }

// alarm ends contexts at their deadlines, all with one timer. The timer is set
// for the first of them, and stays when that one finishes, since nearly all
// finish in time. So it is set about once in a timeout, however many statements
// there are. Setting one for each takes 4 µs of a lone load of 70: the runtime
// wakes a thread for it (bench/NOTES.md). The zero value is ready.
type alarm struct {
	mu      sync.Mutex
	watched map[*bounded]struct{}
	timer   *time.Timer // nil before the first statement
	at      time.Time   // when the timer fires; zero if it is not set
}

func (a *alarm) add(b *bounded) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.watched == nil {
		a.watched = map[*bounded]struct{}{}
	}
	a.watched[b] = struct{}{}
	a.set(b.until)
}

func (a *alarm) remove(b *bounded) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.watched, b)
}

// set makes the timer fire no later than at. The caller holds a.mu.
func (a *alarm) set(at time.Time) {
	if !a.at.IsZero() && !at.Before(a.at) {
		return
	}
	a.at = at
	if a.timer == nil {
		a.timer = time.AfterFunc(time.Until(at), a.ring)
		return
	}
	a.timer.Reset(time.Until(at))
}

// ring ends the contexts whose time is over, and sets the timer for the others.
func (a *alarm) ring() {
	for _, b := range a.due() {
		b.end(context.DeadlineExceeded)
	}
}

func (a *alarm) due() (due []*bounded) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = time.Time{}
	now := time.Now()
	for b := range a.watched {
		if b.until.After(now) {
			a.set(b.until)
			continue
		}
		due = append(due, b)
		delete(a.watched, b)
	}
	return due
}
