package cache

import (
	"sync"
	"time"
)

const (
	// A Get waits for at least this part of Config.Timeout: what a collection of garbage or a busy processor takes is no
	// news about Redis.
	minTimeoutShare = 16
	// The weights of the newest exchange, and how many deviations are unusual: those of RFC 6298, by which TCP tells a
	// packet that is late from one that is lost.
	meanShare, deviationShare, unusual = 8, 4, 4
)

// patience is for how long a Get waits before Redis takes unusually long, by what exchanges have taken. Until one has been
// seen, and at most, that is Config.Timeout.
type adaptiveTimeout struct {
	timeout time.Duration

	mu              sync.Mutex
	mean, deviation time.Duration // zero: none was seen yet
}

// took notes an exchange that was answered, in time or late.
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
