package sessionstore

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// How many events wait for an Observer that is slow or hangs: a flood of forged cookies must not fill the memory.
	maxEvents = 4096
	// How many of those in kept. Each had its row in Postgres changed by somebody who has a session, so there are not many at once;
	// so many take some tens of megabytes.
	maxKeptEvents = 100_000
	// The memory for so many is kept for the next ones.
	someEvents = 64
)

// kept are the events that no flood of others may push aside: who came in, whose sessions were ended and why, and emergencies.
// EventSuspicious is none of them: whoever has one session can make it with each request.
var kept = [eventKinds]bool{
	EventLogin: true, EventLogout: true, EventRevoked: true, EventLoginRefused: true,
	EventEmergencyBegan: true, EventRestoreFailed: true, EventEmergencyEnded: true,
}

// events brings events to the Observer, one after the other in the order in which they happened, beside the requests that
// they are of: a goroutine does so while there are any, and ends. An Observer that hangs costs what waits for it, and no request.
type events struct {
	observer Observer
	log      *slog.Logger
	panics   lineRate // lines about panics of the Observer

	// counts has the events of each kind, those that were dropped included.
	counts eventCounts
	// affected has the sum of [Event.Count] of each kind.
	affected eventCounts

	start func() // run, made once

	mu      sync.Mutex
	waiting []delivery
	first   int // of waiting, the one to be delivered next
	others  int // how many wait that are not in kept
	keeps   int // and how many that are
	dropped int // since the last event that was taken in
	running bool
	telling bool // the Observer has one and has not returned
}

// delivery is an event on its way, or a mark behind events.
type delivery struct {
	ctx     context.Context
	event   Event
	reached chan struct{} // of a mark: closed when all before it is delivered
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

// add takes an event in. Where there is no room for it, it is dropped, and the Observer is told how many were in their place.
func (q *events) add(ctx context.Context, e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := q.others < maxEvents
	if kept[e.Kind] {
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

// gap puts the news of what was dropped behind what is waiting. The caller holds q.mu.
func (q *events) gap() {
	if q.dropped > 0 {
		e := Event{Kind: EventDropped, At: time.Now(), Count: q.dropped}
		q.dropped = 0
		q.append(delivery{ctx: context.Background(), event: e})
	}
}

// append has a goroutine see to the delivery. The caller holds q.mu.
func (q *events) append(d delivery) {
	if q.first > len(q.waiting)/2 { // a queue that is never empty must not grow with what has left it
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
	case kept[d.event.Kind]:
		q.keeps += n
	default:
		q.others += n
	}
}

func (q *events) run() {
	done := false
	defer func() {
		if !done { // the Observer has ended the goroutine with runtime.Goexit, as FailNow of a test does
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
	q.telling = q.running
	if !q.running {
		return delivery{}, false
	}
	d := q.waiting[q.first]
	q.waiting[q.first] = delivery{}
	q.first++
	q.counted(&d, -1)
	return d, true
}

// deliver tells the Observer. One that panics is treated as net/http treats a handler: the panic is logged with its stack, and
// what comes after it goes on. The goroutine is the library's, so nobody else could recover.
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
				args := []any{"event", d.event.Kind.String(), "panic", v, "stack", string(debug.Stack())}
				if omitted > 0 {
					args = append(args, "omitted", omitted)
				}
				q.log.ErrorContext(ctx, "observer panicked", args...)
			}
		}
	}()
	q.observer(ctx, d.event)
}

// flush waits until what has happened so far is delivered.
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
	if q.telling {
		left++
	}
	return fmt.Errorf("the observer has yet to be told of %d events: %w", left, ctx.Err())
}
