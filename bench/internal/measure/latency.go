package measure

import (
	"context"
	"math/bits"
	"time"
)

// Latencies is a histogram of durations with 32 buckets for each power of two,
// so a quantile is exact to 3 %. The zero value is empty. It is for one
// goroutine.
type Latencies struct {
	counts [64 * perOctave]int64
	total  int64
}

const (
	octaveBits = 5
	perOctave  = 1 << octaveBits
)

func bucket(ns uint64) int {
	if ns < perOctave {
		return int(ns)
	}
	shift := bits.Len64(ns) - octaveBits - 1
	return (shift+1)<<octaveBits + int(ns>>shift) - perOctave
}

// upper returns the greatest value of a bucket.
func upper(bucket int) uint64 {
	if bucket < perOctave {
		return uint64(bucket)
	}
	shift := bucket>>octaveBits - 1
	return (uint64(bucket&(perOctave-1))+perOctave+1)<<shift - 1
}

func (l *Latencies) add(d time.Duration) {
	l.counts[bucket(uint64(max(d, 0)))]++
	l.total++
}

func (l *Latencies) merge(other *Latencies) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.total += other.total
}

// Quantile returns the duration that the share q of the calls did not exceed; 0
// without calls.
func (l *Latencies) Quantile(q float64) time.Duration {
	rank, seen := int64(q*float64(l.total)), int64(0)
	for i, n := range l.counts {
		if seen += n; n > 0 && seen > rank {
			return time.Duration(upper(i))
		}
	}
	return 0
}

// Timed is [Rate] with the latencies of all calls, those of the warm-up too.
// Each caller waits between two calls, for pause on average. So the load is
// that of a busy site; at the limit of the machine, a quantile would only
// measure the queue.
func Timed(
	ctx context.Context, callers int, d, pause time.Duration, op Operation,
) (float64, *Latencies, error) {
	each := make([]Latencies, callers)
	rate, err := Rate(ctx, callers, d, func(ctx context.Context, c *Caller) error {
		c.rest(pause)
		began := time.Now()
		if err := op(ctx, c); err != nil {
			return err
		}
		each[c.Number].add(time.Since(began))
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	all := new(Latencies)
	for i := range each {
		all.merge(&each[i])
	}
	return rate, all, nil
}
