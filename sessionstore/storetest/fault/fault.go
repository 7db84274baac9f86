package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// ErrInjected is wrapped by every error that this package makes, but not by the
// errors of [Rule.Err] and [Rule.Do].
var ErrInjected = errors.New("injected by a test")

var (
	errDown = fmt.Errorf("%w: %w", store.ErrOutage, ErrInjected)
	errLost = fmt.Errorf("%w (%w)", errDown, store.ErrOutcomeUnknown)
)

// When is the point of a call at which it fails.
type When int

const (
	// Before fails the call without calling the inner store.
	Before When = iota
	// After calls the inner store and discards its reply. Its effect stays.
	After
	// Hang blocks the call before the inner store is called, until the Fault is
	// released or the caller's context ends. If the context ends, the inner
	// store is not called.
	Hang
	// HangReply calls the inner store and blocks its reply in the same way. If
	// the context ends, the effect stays.
	HangReply
	// Late fails at once, like a request whose network is slow.
	// [Fault.Deliver] calls the inner store later.
	Late
)

// Rule selects calls and makes them fail. The zero Rule fails every call with
// [store.ErrOutage] before the inner store is called.
type Rule struct {
	// When is the point at which the call fails.
	When When
	// Nth selects one of the calls that match, counted from 1 since the rule
	// was injected. 0 selects every one.
	Nth int
	// If, unless it is nil, selects the calls for which it returns true.
	If func(Call) bool
	// Err is the error of the call. Nil means store.ErrOutage. If the call may
	// have changed a session, it means store.ErrOutcomeUnknown too. A call at
	// Hang or HangReply fails with Err when it is released. If Err is nil, it
	// continues.
	Err error
	// Do, unless it is nil, decides instead of Err, at Before, After and Late.
	// If it returns an error, the call fails with it. If it returns nil, the
	// call continues as if there were no fault. At Before and Late it may
	// change the arguments of the call. Several calls may run it at once.
	Do func(ctx context.Context, c *Call) error
}

// Injector holds faults and a log of calls. A [Store] embeds one. A double of
// another interface can have its own and send its calls through [Run]. The zero
// Injector is ready, and must not be copied. All methods may be called by many
// goroutines at once, and by [Rule.If] and [Rule.Do].
type Injector struct {
	mu     sync.Mutex
	faults []*Fault // the newest is last
	calls  []Call
}

// Inject adds a rule for the operations, or for all if there are none. If
// several rules match a call, the newest applies.
func (i *Injector) Inject(r Rule, ops ...store.Operation) *Fault {
	f := &Fault{
		injector: i, rule: r, ops: slices.Clone(ops),
		released: make(chan struct{}), met: make(chan struct{}),
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.faults = append(i.faults, f)
	return f
}

// Down makes the operations, or all if there are none, fail with
// [store.ErrOutage], which is a [store.ErrUnavailable], before the inner store
// is called.
func (i *Injector) Down(ops ...store.Operation) *Fault { return i.Inject(Rule{}, ops...) }

// Up releases every fault.
func (i *Injector) Up() {
	i.mu.Lock()
	faults := slices.Clone(i.faults)
	i.mu.Unlock()
	for _, f := range faults {
		f.Release()
	}
}

// Calls returns the calls so far, in the order in which they began, with the
// arguments of the caller.
func (i *Injector) Calls() []Call {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.calls)
}

// Forget empties the log of calls, and returns what it held.
func (i *Injector) Forget() []Call {
	i.mu.Lock()
	defer i.mu.Unlock()
	calls := i.calls
	i.calls = nil
	return calls
}

// begin logs a call and finds its fault, nil if there is none.
func (i *Injector) begin(c Call) *Fault {
	i.mu.Lock()
	i.calls = append(i.calls, c)
	faults := slices.Clone(i.faults)
	i.mu.Unlock()
	var found *Fault
	for _, f := range slices.Backward(faults) {
		if !f.matches(c) {
			continue
		}
		i.mu.Lock()
		f.seen++
		meets := f.rule.Nth == 0 || f.rule.Nth == f.seen
		if found == nil && meets && slices.Contains(i.faults, f) {
			found = f
			f.count++
			close(f.met)
			f.met = make(chan struct{})
		}
		i.mu.Unlock()
	}
	return found
}

// Fault is an injected rule. All methods may be called by many
// goroutines at once.
type Fault struct {
	injector *Injector
	rule     Rule
	ops      []store.Operation // none: all

	released chan struct{} // closed by Release

	// Guarded by injector.mu.
	seen   int           // calls that match
	count  int           // calls that it met
	waited int           // calls for which a Wait has returned
	met    chan struct{} // closed by the next call
	late   []func(context.Context) error
}

func (f *Fault) matches(c Call) bool {
	return (len(f.ops) == 0 || slices.Contains(f.ops, c.Op)) && (f.rule.If == nil || f.rule.If(c))
}

// Wait returns when a call has met the fault. Each call ends one Wait, whether
// it comes before the Wait or after. If ctx ends first, Wait returns its error.
func (f *Fault) Wait(ctx context.Context) error {
	i := f.injector
	for {
		i.mu.Lock()
		if f.waited < f.count {
			f.waited++
			i.mu.Unlock()
			return nil
		}
		met := f.met
		i.mu.Unlock()
		select {
		case <-met:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Count returns how many calls have met the fault.
func (f *Fault) Count() int {
	f.injector.mu.Lock()
	defer f.injector.mu.Unlock()
	return f.count
}

// Release ends the fault: calls that hang continue, and later ones don't meet
// it.
// Further calls of Release do nothing.
func (f *Fault) Release() {
	i := f.injector
	i.mu.Lock()
	defer i.mu.Unlock()
	at := slices.Index(i.faults, f)
	if at < 0 {
		return
	}
	i.faults = slices.Delete(i.faults, at, at+1)
	close(f.released)
}

// Deliver makes the calls that failed [Late], each once and in their order, and
// returns their errors joined. It does not release the fault, and works after
// Release too.
func (f *Fault) Deliver(ctx context.Context) error {
	f.injector.mu.Lock()
	late := f.late
	f.late = nil
	f.injector.mu.Unlock()
	var errs []error
	for _, call := range late {
		errs = append(errs, call(ctx))
	}
	return errors.Join(errs...)
}

// hang waits for Release. If the context ends first, the error wraps its error.
func (f *Fault) hang(ctx context.Context, lost bool) error {
	select {
	case <-f.released:
		return f.rule.Err
	case <-ctx.Done():
	}
	err := fmt.Errorf("%w: %w", ctx.Err(), ErrInjected)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", store.ErrOutage, err)
	}
	if lost {
		err = fmt.Errorf("%w (%w)", err, store.ErrOutcomeUnknown)
	}
	return err
}

// decide returns the error of a call, nil if it continues. fallback is the
// error of a rule without Do and Err.
func (f *Fault) decide(ctx context.Context, c *Call, fallback error) error {
	switch {
	case f.rule.Do != nil:
		return f.rule.Do(ctx, c)
	case f.rule.Err != nil:
		return f.rule.Err
	}
	return fallback
}

// Run makes one call through an Injector. next calls the inner store with the
// arguments of its Call and returns the results. A fault may skip next or call
// it later. A call that fails by a fault returns the zero T.
func Run[T any](
	ctx context.Context, i *Injector, c Call, next func(context.Context, Call) (T, error),
) (T, error) {
	var none T
	c = c.clone()
	f := i.begin(c)
	if f == nil {
		return next(ctx, c)
	}
	lost := errDown
	if c.changes() {
		lost = errLost
	}
	switch f.rule.When {
	case Before:
		if err := f.decide(ctx, &c, errDown); err != nil {
			return none, err
		}
	case Hang:
		if err := f.hang(ctx, false); err != nil {
			return none, err
		}
	case Late:
		if err := f.decide(ctx, &c, lost); err != nil {
			i.mu.Lock()
			f.late = append(f.late, func(ctx context.Context) error {
				_, err := next(ctx, c)
				return err
			})
			i.mu.Unlock()
			return none, err
		}
	}
	v, err := next(ctx, c)
	switch f.rule.When {
	case After:
		c.Err = err
		if err := f.decide(ctx, &c, lost); err != nil {
			return none, err
		}
	case HangReply:
		if err := f.hang(ctx, c.changes()); err != nil {
			return none, err
		}
	}
	return v, err
}
