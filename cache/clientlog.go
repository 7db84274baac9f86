package cache

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// clientLines are how many lines of go-redis may come at once; then it is one a
// second.
const clientLines = 10

// clientLog is what go-redis writes to. It has one logger for the whole
// process.
type clientLog struct {
	set sync.Once

	mu      sync.Mutex
	loggers []*slog.Logger // of those who asked, in their order
	free    time.Time      // when all lines that were logged are paid for, one a second
	omitted int
}

var ofClients clientLog

// LogClients brings the lines that go-redis writes by itself, such as one for
// each connection that fails, to a logger, until release is called. go-redis
// has one logger for the whole process and does not say which client a line is
// of: if there are several loggers here, the one that came first gets the
// lines. It calls [redis.SetLogger] once in the process, so an application that
// calls it later has its own logger.
func LogClients(logger *slog.Logger) (release func()) {
	ofClients.set.Do(func() { redis.SetLogger(&ofClients) })
	ofClients.mu.Lock()
	defer ofClients.mu.Unlock()
	ofClients.loggers = append(ofClients.loggers, logger)
	return sync.OnceFunc(func() { ofClients.remove(logger) })
}

func (c *clientLog) remove(logger *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.loggers, logger); i >= 0 {
		c.loggers = slices.Delete(c.loggers, i, i+1)
	}
}

// Printf is go-redis's interface.
func (c *clientLog) Printf(ctx context.Context, format string, v ...any) {
	logger, omitted := c.take(time.Now())
	if logger == nil {
		return
	}
	args := []any{"error", fmt.Sprintf(format, v...)}
	if omitted > 0 {
		args = append(args, "omitted", omitted)
	}
	logger.WarnContext(ctx, "redis client reports", args...)
}

// take returns the logger for a line, and how many lines were left out before
// it; nil for a line to be left out. With no one left who asked it is slog's
// default.
func (c *clientLog) take(now time.Time) (logger *slog.Logger, omitted int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free.Before(now) || c.free.Sub(now) > 2*clientLines*time.Second { // the clock was set
		c.free = now
	}
	if c.free.Sub(now) > (clientLines-1)*time.Second {
		c.omitted++
		return nil, 0
	}
	c.free = c.free.Add(time.Second)
	omitted, c.omitted = c.omitted, 0
	if len(c.loggers) == 0 {
		return slog.Default(), omitted
	}
	return c.loggers[0], omitted
}
