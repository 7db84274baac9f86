package cache

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// With two caches in a process, the first open one gets the lines.
func TestGoRedisLogsToTheFirstLogger(t *testing.T) {
	first, second := &journal{}, &journal{}
	releaseFirst := LogClients(first.logger())
	releaseSecond := LogClients(second.logger())
	defer releaseSecond()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	ask := func() {
		if err := client.Get(t.Context(), "k").Err(); err == nil {
			t.Fatal("a reply without a server")
		}
	}
	ask()
	said := strings.Join(first.all(), "")
	if !strings.Contains(said, "redis client reports") ||
		!strings.Contains(said, "failed to dial") || len(second.all()) > 0 {
		t.Errorf("the first has %q, the second %q", said, second.all())
	}
	releaseFirst()
	releaseFirst()
	n := len(first.all())
	ask()
	if len(first.all()) != n || len(second.all()) == 0 {
		t.Errorf("after the first has gone it has %d more lines, and the second %d",
			len(first.all())-n, len(second.all()))
	}
}

func TestGoRedisLogIsLimited(t *testing.T) {
	var c clientLog
	j := &journal{}
	c.loggers = append(c.loggers, j.logger())
	now, lines, omitted := time.Now(), 0, 0
	for range 60 {
		for range 100 {
			if logger, left := c.take(now); logger != nil {
				lines, omitted = lines+1, omitted+left
			}
		}
		now = now.Add(time.Second)
	}
	if lines < 60 || lines > 70 || lines+omitted+c.omitted != 6000 {
		t.Errorf("%d lines, %d omitted, of 6000", lines, omitted+c.omitted)
	}
	c.free, c.omitted = time.Time{}, 7
	c.Printf(context.Background(), "it says %s", "no")
	if said := strings.Join(j.all(), ""); !strings.Contains(said, `error="it says no" omitted=7`) {
		t.Errorf("it says %s", said)
	}
}

// An application that sets its own logger after the cache was opened gets the
// lines.
func TestALoggerOfTheApplicationGetsTheLines(t *testing.T) {
	j := &journal{}
	LogClients(j.logger())()
	own := &appLogger{}
	redis.SetLogger(own)
	defer redis.SetLogger(&ofClients)
	defer LogClients(j.logger())()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	_ = client.Get(t.Context(), "k").Err()
	if own.lines == 0 || len(j.all()) > 0 {
		t.Errorf("the application's logger has %d lines, ours %q", own.lines, j.all())
	}
}

type appLogger struct{ lines int }

func (a *appLogger) Printf(context.Context, string, ...any) { a.lines++ }
