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

// clientLines is how many lines of go-redis may be logged at once. After them
// one a second is.
const clientLines = 10

// clientLog is the logger of go-redis, of which a process has one.
type clientLog struct {
	set sync.Once

	mu      sync.Mutex
	loggers []*slog.Logger // in the order of LogClients
	free    time.Time      // when the lines logged so far are used up, at one a second
	omitted int
}

var ofClients clientLog

// LogClients sends the lines that go-redis logs, such as one for each
// connection that fails, to a logger until release is called.
//
// go-redis has one logger for the whole process and does not say which client
// logs. With several loggers, the first one gets all lines. LogClients calls
// [redis.SetLogger] once in a process, so an application that calls it later
// gets the lines itself.
//
// At most ten lines are logged at once and then one a second; `omitted` counts
// the rest.
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

// Printf implements the logger interface of go-redis.
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

// take returns the logger of a line and the number of lines omitted before it,
// or nil if this line is omitted too. After the last release it returns slog's
// default.
func (c *clientLog) take(now time.Time) (logger *slog.Logger, omitted int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// the system clock was set back
	if c.free.Before(now) || c.free.Sub(now) > 2*clientLines*time.Second {
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
