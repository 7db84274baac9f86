package cache

import (
	"sync"
	"time"
)

const (
	// A Get waits for at least this share of Config.Timeout: a garbage
	// collection or a busy processor of this process takes as long, and says
	// nothing about Redis.
	minTimeoutShare = 16
	// Weights of the newest round trip, and the deviations that are too many.
	// They are those of RFC 6298, by which TCP decides that a packet is lost.
	meanShare, deviationShare, unusual = 8, 4, 4
)

// adaptiveTimeout computes how long a Get waits for Redis, from how long round
// trips took: their mean and four deviations. It is Config.Timeout at most, and
// until the first round trip was observed.
type adaptiveTimeout struct {
	timeout time.Duration

	mu              sync.Mutex
	mean, deviation time.Duration // guarded by mu; mean is 0 before the first observation
}

// observe records the duration of a round trip that was answered, in time or
// late.
func (p *adaptiveTimeout) observe(d time.Duration) {
	d = max(d, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == 0 {
		p.mean, p.deviation = d, d/2
		return
	}
	p.deviation += ((p.mean - d).Abs() - p.deviation) / deviationShare
	p.mean += (d - p.mean) / meanShare
}

func (p *adaptiveTimeout) current() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mean == 0 {
		return p.timeout
	}
	return min(max(p.mean+unusual*p.deviation, p.timeout/minTimeoutShare), p.timeout)
}
