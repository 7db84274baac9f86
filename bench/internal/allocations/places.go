package allocations

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"path"
	"runtime"
	"slices"
	"strings"
)

// Counted is the allocations of one request.
type Counted struct {
	// Session and Bare are the totals with and without a session.
	Session, Bare float64
	Places        []Place
}

// Place is a line of the library, or of another package if no line of the
// library is on the stack.
type Place struct {
	Function, Line string
	Count          float64 // for each request
	// In is the function that the line called and that allocated. Empty if the
	// line allocated itself.
	In string
}

const (
	requests = 5000
	warmUp   = 100
)

// Count counts the allocations. It must run in a process of its own, with
// [runtime.MemProfileRate] set to 1 from the start.
func Count(ctx context.Context) (Counted, error) {
	if runtime.MemProfileRate != 1 {
		return Counted{}, fmt.Errorf("MemProfileRate is %d, not 1", runtime.MemProfileRate)
	}
	r, err := NewRequest(ctx)
	if err != nil {
		return Counted{}, err
	}
	r.serve(r.Session, warmUp)
	c := Counted{Bare: r.count(r.Bare)}
	before := profile()
	c.Session = r.count(r.Session)
	for place, n := range profile() {
		if n -= before[place]; n > requests/2 {
			place.Count = float64(n) / requests
			c.Places = append(c.Places, place)
		}
	}
	slices.SortFunc(c.Places, func(a, b Place) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.In, b.In))
	})
	return c, nil
}

func (r *Request) count(h http.Handler) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r.serve(h, requests)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / requests
}

func (r *Request) serve(h http.Handler, times int) {
	for range times {
		r.Serve(h)
	}
}

// profile counts all allocations so far by place.
func profile() map[Place]int64 {
	runtime.GC() // the profile is as of the last complete collection
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 1000)
	for {
		n, ok := runtime.MemProfile(records, true)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, 2*n)
	}
	counts := map[Place]int64{}
	for i := range records {
		counts[placeOf(records[i].Stack())] += records[i].AllocObjects
	}
	return counts
}

// root is the folder of the library. This file is
// <root>/bench/internal/allocations/places.go.
var root = func() string {
	_, file, _, _ := runtime.Caller(0)
	for range 4 {
		file = path.Dir(file)
	}
	return file
}()

// placeOf returns the innermost line of the library on a stack, and what it
// called. It compares files, because an inlined function literal has the name
// of its caller.
func placeOf(stack []uintptr) Place {
	frames := runtime.CallersFrames(stack)
	var innermost, called runtime.Frame
	for {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.File, root+"/bench/"):
			return Place{Function: short(f.Function), Line: line(f), In: "the handler itself"}
		case strings.HasPrefix(f.File, root):
			p := Place{
				Function: strings.TrimPrefix(short(f.Function), "allocations.NewRequest."),
				Line:     line(f),
			}
			if called.Function != "" {
				p.In = short(called.Function)
			}
			return p
		}
		if !strings.HasPrefix(f.Function, "runtime.") {
			called = f
			if innermost.Function == "" {
				innermost = f
			}
		}
		if !more {
			return Place{Function: short(innermost.Function), Line: line(innermost)}
		}
	}
}

func short(function string) string { return path.Base(function) }

func line(f runtime.Frame) string {
	return fmt.Sprintf("%s/%s:%d", path.Base(path.Dir(f.File)), path.Base(f.File), f.Line)
}
