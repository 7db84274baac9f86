package sessionstore

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A slow Observer must not fill the memory during a flood of forged
	// cookies.
	maxEvents = 4096
	// Bounds the kept events that wait. Each changed a row in Postgres by a
	// client with a session, so few come at once. This many take some tens of
	// megabytes.
	maxKeptEvents = 100_000
	// An idle queue keeps memory for this many.
	someEvents = 64
)

// events delivers events to the Observer, in order. A goroutine runs while
// events wait, and ends when there are none.
type events struct {
	observer Observer
	log      *slog.Logger
	panics   lineRate // lines about panics of the Observer

	// counts has the events of each kind, those that were dropped included.
	counts eventCounts
	// affected has the sum of [Event.Count] of each kind.
	affected eventCounts

	start func() // run, made once

	mu         sync.Mutex
	waiting    []delivery
	first      int // of waiting, the one to be delivered next
	others     int // how many wait that are not kept
	keeps      int // and how many that are
	dropped    int // since the last event that was taken in
	running    bool
	delivering bool // the Observer has one and has not returned
}

// delivery is an event on its way, or a marker behind events.
type delivery struct {
	ctx   context.Context
	event Event
	// of a marker: closed when all events before it are delivered
	reached chan struct{}
}

// newEvents makes the queue. It comes before the Manager: the outage detector
// reports to it too.
func newEvents(observer Observer, log *slog.Logger) *events {
	q := &events{observer: observer, log: log}
	q.start = q.run
	return q
}

// observe counts an event and adds it.
func (q *events) observe(ctx context.Context, e Event) {
	q.counts[e.Kind].Add(1)
	q.affected[e.Kind].Add(int64(e.Count))
	e.At = time.Now()
	q.add(ctx, e)
}

// add appends an event. Without room it drops the event and counts it for the
// next EventDropped.
func (q *events) add(ctx context.Context, e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := q.others < maxEvents
	if e.Kind.has(kept) {
		room = q.keeps < maxKeptEvents
	}
	if !room {
		q.dropped++
		q.counts[EventDropped].Add(1)
		return
	}
	q.gap()
	q.append(delivery{ctx: ctx, event: e})
}

// gap appends the EventDropped of what was dropped. The caller holds q.mu.
func (q *events) gap() {
	if q.dropped > 0 {
		e := Event{Kind: EventDropped, At: time.Now(), Count: q.dropped}
		q.dropped = 0
		q.append(delivery{ctx: context.Background(), event: e})
	}
}

// append appends a delivery and starts the goroutine. The caller holds q.mu.
func (q *events) append(d delivery) {
	// a queue that is never empty must not grow with what has left it
	if q.first > len(q.waiting)/2 {
		left := copy(q.waiting, q.waiting[q.first:])
		clear(q.waiting[left:])
		q.waiting, q.first = q.waiting[:left], 0
	}
	q.waiting = append(q.waiting, d)
	q.counted(&d, 1)
	if !q.running {
		q.running = true
		go q.start()
	}
}

func (q *events) counted(d *delivery, n int) {
	switch {
	case d.reached != nil:
	case d.event.Kind.has(kept):
		q.keeps += n
	default:
		q.others += n
	}
}

func (q *events) run() {
	done := false
	defer func() {
		// the Observer has ended the goroutine with runtime.Goexit, as FailNow
		// of a test does
		if !done {
			go q.start()
		}
	}()
	for d, ok := q.next(); ok; d, ok = q.next() {
		q.deliver(d)
	}
	done = true
}

func (q *events) next() (delivery, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.first == len(q.waiting) {
		q.waiting, q.first = q.waiting[:0], 0
		if cap(q.waiting) > someEvents {
			q.waiting = nil
		}
		q.gap()
	}
	q.running = len(q.waiting) > 0
	q.delivering = q.running
	if !q.running {
		return delivery{}, false
	}
	d := q.waiting[q.first]
	q.waiting[q.first] = delivery{}
	q.first++
	q.counted(&d, -1)
	return d, true
}

// deliver calls the Observer. The goroutine is the library's, so no caller
// could recover a panic.
func (q *events) deliver(d delivery) {
	if d.reached != nil {
		close(d.reached)
		return
	}
	ctx := d.ctx
	if ctx.Done() != nil || ctx.Value(contextKey{}) != nil {
		ctx = withoutSession(context.WithoutCancel(ctx))
	}
	defer func() {
		if v := recover(); v != nil {
			defer func() { _ = recover() }() // the log may be what panics
			if omitted, ok := q.panics.take(time.Now(), lineBurst, nil); ok {
				args := []any{
					"event", d.event.Kind.String(), "panic", v, "stack", string(debug.Stack()),
				}
				if omitted > 0 {
					args = append(args, "omitted", omitted)
				}
				q.log.ErrorContext(ctx, "observer panicked", args...)
			}
		}
	}()
	q.observer(ctx, d.event)
}

// flush waits until all events so far are delivered.
func (q *events) flush(ctx context.Context) error {
	q.mu.Lock()
	if !q.running {
		q.mu.Unlock()
		return nil
	}
	reached := make(chan struct{})
	q.gap()
	q.append(delivery{reached: reached})
	q.mu.Unlock()
	select {
	case <-reached:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.others + q.keeps
	if q.delivering {
		left++
	}
	return fmt.Errorf("%d events not delivered to the observer: %w", left, ctx.Err())
}

// eventCounts counts events by kind.
type eventCounts [eventKinds]atomic.Int64
