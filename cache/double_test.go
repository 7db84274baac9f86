package cache

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// double is a Redis in memory with the commands that the cache sends. Its
// connections are pipes, so it runs in a synctest bubble.
type double struct {
	mu     sync.Mutex
	items  map[string]item
	loaded bool // the script
	asked  map[string]int

	// answer, if set, returns a raw reply, or "" for the usual one. It is
	// called without a lock and may block.
	answer func(cmd []string) string
	// tamper may change what a read returns.
	tamper   func(key, value string, there bool) (string, bool)
	refuse   error  // fails new connections
	password string // that the client sends
	bare     bool   // without the guard, like a client that Dial did not create
}

type item struct {
	value string
	list  bool      // a value of another type
	ends  time.Time // zero: never
}

func newDouble() *double { return &double{items: map[string]item{}, asked: map[string]int{}} }

func (d *double) dial(context.Context, string, string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse != nil {
		return nil, d.refuse
	}
	ours, theirs := net.Pipe()
	go d.serve(ours)
	if d.bare {
		return theirs, nil
	}
	return guard(theirs), nil
}

// hangUp begins a reply after which the double closes the connection.
const hangUp = "\x00hang up\x00"

func (d *double) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	// A pipe has no buffer and a client writes its whole pipeline before it
	// reads, so another goroutine writes the replies.
	replies := make(chan string, 4096)
	defer close(replies)
	go func() {
		for reply := range replies {
			reply, last := strings.CutPrefix(reply, hangUp)
			_, _ = io.WriteString(conn, reply)
			if last {
				_ = conn.Close()
			}
		}
	}()
	in := bufio.NewReader(conn)
	for {
		cmd, err := readCommand(in)
		if err != nil {
			return
		}
		replies <- d.do(cmd)
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readNumber(in, '*')
	if err != nil {
		return nil, err
	}
	cmd := make([]string, n)
	for i := range cmd {
		size, err := readNumber(in, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		cmd[i] = string(b[:size])
	}
	return cmd, nil
}

func readNumber(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q in place of %q", line, kind)
	}
	return strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

func (d *double) do(cmd []string) string {
	name := strings.ToUpper(cmd[0])
	d.mu.Lock()
	d.asked[name]++
	answer := d.answer
	d.mu.Unlock()
	if answer != nil {
		if reply := answer(cmd); reply != "" {
			return reply
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch name {
	case "PING":
		return "+PONG\r\n"
	case "HELLO":
		return "*2\r\n$5\r\nproto\r\n:2\r\n"
	case "SELECT", "CLIENT", "AUTH":
		return "+OK\r\n"
	case "GET":
		return d.get(cmd[1], wrongType)
	case "MGET":
		reply := fmt.Sprintf("*%d\r\n", len(cmd)-1)
		for _, key := range cmd[1:] {
			reply += d.get(key, "$-1\r\n")
		}
		return reply
	case "EVALSHA", "EVAL":
		if name == "EVAL" && cmd[1] == script {
			d.loaded = true
		} else if name == "EVAL" || cmd[1] != scriptSHA || !d.loaded {
			return "-NOSCRIPT No matching script. Please use EVAL.\r\n"
		}
		ms, err := strconv.Atoi(cmd[5])
		if err != nil || ms < 1 {
			return "-ERR invalid expire time in 'set' command\r\n"
		}
		return fmt.Sprintf(":%d\r\n", d.eval(cmd[3], cmd[4], time.Duration(ms)*time.Millisecond))
	}
	return "-ERR unknown command\r\n"
}

func (d *double) stands(key string) (item, bool) {
	it, there := d.items[key]
	if there && !it.ends.IsZero() && !time.Now().Before(it.ends) {
		delete(d.items, key)
		return item{}, false
	}
	return it, there
}

func (d *double) get(key, otherType string) string {
	it, there := d.stands(key)
	if there && it.list {
		return otherType
	}
	if d.tamper != nil {
		it.value, there = d.tamper(key, it.value, there)
	}
	if !there {
		return "$-1\r\n"
	}
	return bulk(it.value)
}

// eval is the script in Go. integration/cache compares the script with such a
// model.
func (d *double) eval(key, value string, ttl time.Duration) int {
	it, there := d.stands(key)
	ends := time.Now().Add(ttl)
	ended := there && !it.list && it.value == tombstone
	switch {
	case value == tombstone:
		if !ended || it.ends.IsZero() || it.ends.Before(ends) {
			d.items[key] = item{value: tombstone, ends: ends}
		}
		return 1
	case ended:
		if it.ends.IsZero() {
			it.ends = ends
			d.items[key] = it
		}
		return 0
	case there && !it.list && !it.ends.IsZero() && len(it.value) >= sealedBytes &&
		it.value[0] == format &&
		it.value[versionStart:versionStart+16] >= value[versionStart:versionStart+16]:
		return 0
	}
	d.items[key] = item{value: value, ends: ends}
	return 1
}

func (d *double) count(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[name]
}

func (d *double) put(key string, it item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.items[key] = it
}

func (d *double) peek(key string) (item, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stands(key)
}

func (d *double) setAnswer(answer func(cmd []string) string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// inTime is a timeout that no call reaches which the double answers, on a busy
// machine too. Config.Timeout is sixteen times as long, because a Get may wait
// for a sixteenth of it. Tests of timeouts have a synthetic clock: see bubble.
const inTime = 2 * time.Minute

// client returns a client like one of Dial, but connected to the double and
// with time to answer.
func (d *double) client(t testing.TB) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Dialer: d.dial, Password: d.password, Protocol: protocol, ContextTimeoutEnabled: true,
		MaxRetries: -1, DialerRetries: 1, PipelinePoolSize: -1,
		DialTimeout: inTime, ReadTimeout: inTime, WriteTimeout: inTime, PoolTimeout: inTime,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// pipelines hides that the client is for one server, so the cache pipelines as
// for a Cluster.
type pipelines struct{ redis.UniversalClient }

func master(seed string) []byte {
	sum := sha256.Sum256([]byte(seed))
	return sum[:]
}

func idOf(seed string) ID { return sha256.Sum256([]byte("id " + seed)) }

const testNamespace = "pgsession:test:"

func testConfig() Config {
	return Config{
		Namespace: testNamespace, Keys: [][]byte{master("one")},
		Timeout: minTimeoutShare * inTime,
	}
}

func newCache(t testing.TB, client redis.UniversalClient, change ...func(*Config)) *Cache {
	t.Helper()
	cfg := testConfig()
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func entryOf(version int64, data string) Entry {
	at := time.UnixMicro(1_800_000_000_123_456 + version).UTC()
	return Entry{
		Version: version, ValidatedAt: at, ExpiresAt: at.Add(time.Hour),
		AbsoluteExpiresAt: at.Add(24 * time.Hour), Data: []byte(data),
	}
}

func same(a, b Entry) bool {
	return a.Version == b.Version && a.ValidatedAt.Equal(b.ValidatedAt) &&
		a.ExpiresAt.Equal(b.ExpiresAt) &&
		a.AbsoluteExpiresAt.Equal(b.AbsoluteExpiresAt) && string(a.Data) == string(b.Data)
}

// journal is a logger that keeps its lines.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(p))
	return len(p), nil
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}
