package cache

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/reporadar/pgsession/internal/batch"
)

// Replies to all commands but those of the handshake, and the reason that Ping
// returns.
var refusals = []struct{ reply, reason string }{
	{"NOAUTH Authentication required.", "password required"},
	{
		"WRONGPASS invalid username-password pair or user is disabled.",
		"wrong user name or password",
	},
	{"NOPERM User u has no permissions to run the 'get' command", "user lacks rights"},
	{"READONLY You can't write against a read only replica. script: abc", "read-only"},
	{
		"ERR Error running script (call to f_a): @user_script:2: -READONLY You can't write " +
			"against a read only replica.", "read-only",
	},
	{"OOM command not allowed when used memory > 'maxmemory'. script: abc", "out of memory"},
	{"MISCONF Redis is configured to save RDB snapshots, but", "can't save"},
	{"LOADING Redis is loading the dataset in memory", "loading"},
	{"CLUSTERDOWN The cluster is down", "cluster is down"},
	{"MOVED 1 10.0.0.1:6379", "cluster=true"},
	{"MASTERDOWN Link with MASTER is down", "master unavailable"},
	{"BUSY Redis is busy running a script", "busy"},
	{"ERR unknown command 'GET', with args beginning with: 'key canary'", "unknown command"},
	{"ERR max number of clients reached", "too many clients"},
	{"WHATEVER canary", "unknown error reply"},
}

func TestErrorRepliesAreUnavailable(t *testing.T) {
	for _, test := range refusals {
		bothWays(t, func(t *testing.T, d *double, client redis.UniversalClient) {
			c := newCache(t, client)
			d.setAnswer(func(cmd []string) string {
				if cmd[0] == "hello" {
					return ""
				}
				return "-" + test.reply + "\r\n"
			})
			for range 2 {
				wantErr(t, c, idOf("a"), ErrUnavailable)
				stored, err := c.Fill(t.Context(), idOf("a"), entryOf(1, ""), time.Hour)
				if stored || !errors.Is(err, ErrUnavailable) {
					t.Errorf("Fill: %v, %v", stored, err)
				}
				if err := c.PutTombstones(t.Context(), time.Hour,
					idOf("a")); !errors.Is(err, ErrUnavailable) {
					t.Errorf("PutTombstones: %v", err)
				}
			}
			err := c.Ping(t.Context())
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), test.reason) ||
				strings.Contains(err.Error(), "canary") {
				t.Errorf("Ping after %.20s: %v", test.reply, err)
			}
			if got := c.Stats(); got.Errors != 6 {
				t.Errorf("stats %+v", got)
			}
		})
	}
}

// If an error reply keeps a pipeline from getting a connection, go-redis leaves
// its commands without an error. They must not count as misses.
func TestWrongPasswordIsNoMiss(t *testing.T) {
	for _, pipelined := range []bool{false, true} {
		d := newDouble()
		d.password = "wrong"
		var client redis.UniversalClient = d.client(t)
		if pipelined {
			client = pipelines{client}
		}
		c := newCache(t, client)
		d.setAnswer(func(cmd []string) string {
			return "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
		})
		_, err1 := c.Get(t.Context(), idOf("a"))
		_, err2 := c.Fill(t.Context(), idOf("a"), entryOf(1, ""), time.Hour)
		for _, err := range []error{
			err1, err2, c.PutTombstones(t.Context(), time.Hour, idOf("a")),
			c.Ping(t.Context()),
		} {
			if !errors.Is(err, ErrUnavailable) ||
				!strings.Contains(err.Error(), "wrong user name or password") {
				t.Errorf("pipelined %v: %v", pipelined, err)
			}
		}
	}
}

// A Redis that refuses writes still answers reads.
func TestRefusedWritesDoNotOpenTheBreaker(t *testing.T) {
	for reply, words := range map[string]string{
		"-OOM command not allowed\r\n": "out of memory", "-READONLY replica\r\n": "read-only",
		"-MISCONF disk\r\n": "can't save to its disk",
		"-WHATEVER\r\n":     "unknown error reply",
	} {
		d := newDouble()
		c := newCache(t, d.client(t))
		wantFill(t, c, idOf("a"), entryOf(1, "data"), true)
		d.setAnswer(func(cmd []string) string {
			if strings.HasPrefix(cmd[0], "eval") {
				return reply
			}
			return ""
		})
		for range 20 {
			_, _ = c.Fill(t.Context(), idOf("b"), entryOf(1, ""), time.Hour)
			_ = c.PutTombstones(t.Context(), time.Hour, idOf("b"))
		}
		wantGet(t, c, idOf("a"), entryOf(1, "data"))
		if got := c.Stats(); got.BreakerOpen || got.Errors != 40 {
			t.Errorf("%q: stats %+v", reply, got)
		}
		if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) ||
			!strings.Contains(err.Error(), words) {
			t.Errorf("%q: Ping does not notice: %v", reply, err)
		}
	}
}

func TestReasonsQuoteNothing(t *testing.T) {
	const unexpected = "reply is not of the Redis protocol"
	for _, test := range []struct {
		err    error
		reason string
	}{
		{errProtocol, unexpected},
		{errors.New("canary"), unexpected},
		{errReplyTooLarge, unexpected},
		{&net.DNSError{Err: "no such host", Name: "canary"}, "unknown host"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "connection refused"},
		{&net.OpError{Op: "dial", Err: syscall.ENOENT}, "socket does not exist"},
		{&net.OpError{Op: "dial", Err: syscall.EACCES}, "no permission to open the socket"},
		{&net.OpError{Op: "dial", Err: errors.New("canary")}, "connection failed"},
		{fmt.Errorf("failed to authenticate: %w", errors.New("canary")), unexpected},
		{context.DeadlineExceeded, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{redis.ErrPoolTimeout, "all connections in use"},
		{redis.ErrClosed, "client is closed"},
		{redis.Nil, "no sentinel knows a master of this name"},
		{syscall.ECONNRESET, "connection closed"},
		{io.EOF, "connection closed"},
		{batch.ErrOverloaded, "too many calls waiting"},
	} {
		if got := reason(test.err); got != test.reason {
			t.Errorf("%v becomes %q, want %q", test.err, got, test.reason)
		}
	}
}

func TestRefusedConnections(t *testing.T) {
	d := newDouble()
	d.refuse = &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	c := newCache(t, d.client(t))
	if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) ||
		!strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

// After a restart, a failover or a flush Redis has no script. No caller sees
// that.
func TestALostScriptFailsNothing(t *testing.T) {
	bothWays(t, func(t *testing.T, d *double, client redis.UniversalClient) {
		c := newCache(t, client)
		for i := range 10 {
			d.mu.Lock()
			d.loaded = false
			d.mu.Unlock()
			id := idOf(fmt.Sprint(i))
			if i%2 == 0 {
				wantFill(t, c, id, entryOf(1, "data"), true)
			} else if err := c.PutTombstones(t.Context(), time.Hour, id, idOf("b"),
				idOf("c")); err != nil {
				t.Fatal(err)
			}
		}
		before := d.count("EVAL")
		wantFill(t, c, idOf("x"), entryOf(1, "data"), true)
		if d.count("EVAL") != before {
			t.Error("the text of the script was sent although Redis knows it")
		}
	})
}

func TestNothingShowsSecrets(t *testing.T) {
	j := &journal{}
	cfg := testConfig()
	cfg.Logger = j.logger()
	d := newDouble()
	c, err := New(d.client(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	e := entryOf(1, "canary")
	for _, v := range []any{
		cfg, &cfg, c, e, &e,
		[]Entry{e},
		map[string]Entry{"a": e},
		struct{ Entry Entry }{e},
		[]Config{cfg},
	} {
		var text strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&text, verb, v)
		}
		if encoded, err := json.Marshal(v); err == nil {
			text.Write(encoded)
		}
		slog.New(slog.NewTextHandler(&text, nil)).Info("", "v", v)
		slog.New(slog.NewJSONHandler(&text, nil)).Info("", "v", v)
		for _, secret := range [][]byte{cfg.Keys[0], e.Data} {
			for _, form := range []string{
				string(secret), fmt.Sprintf("%x", secret), fmt.Sprint(secret),
				strings.Trim(fmt.Sprintf("%#v", secret), "[]byte{}"),
				base64.StdEncoding.EncodeToString(secret),
			} {
				if strings.Contains(text.String(), form) {
					t.Errorf("%T shows %q", v, form)
				}
			}
		}
	}
}
