package cache

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed script.lua
var script string

// scriptSHA is the SHA-1 of script, by which Redis finds it. It is a constant
// that a test compares, because SHA-1 panics under GODEBUG=fips140=only.
const scriptSHA = "f083df0d1bb37c04881d0cc8a067b41e1af4a4a9"

// write is one call of the script: a fill or a tombstone.
type write struct {
	key   string
	value []byte
	ttl   time.Duration
}

// milliseconds rounds up. Redis rejects a time to live of 0.
func milliseconds(ttl time.Duration) int64 {
	return max(1, int64((ttl+time.Millisecond-1)/time.Millisecond))
}

// writeResult is the result of one write.
type writeResult struct {
	stored bool
	err    error
}

// runScript performs all writes in one round trip. If a server does not have
// the script, after a restart, a failover or SCRIPT FLUSH, it repeats these
// calls with the text. Loading the script first would leave a gap in which it
// is lost again, and a Cluster would need it on each master.
func runScript(ctx context.Context, client redis.UniversalClient, writes []write) []writeResult {
	results := make([]writeResult, len(writes))
	all := make([]int, len(writes))
	for i := range all {
		all[i] = i
	}
	unknown := send(ctx, client, writes, results, all,
		func(pipe redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
			return pipe.EvalSha(ctx, scriptSHA, keys, args...)
		})
	if len(unknown) > 0 {
		send(ctx, client, writes, results, unknown,
			func(pipe redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
				return pipe.Eval(ctx, script, keys, args...)
			})
	}
	return results
}

// send performs the writes at the indices in which. It returns the indices for
// which the server does not have the script.
func send(ctx context.Context, client redis.UniversalClient, writes []write, results []writeResult,
	which []int,
	call func(redis.Pipeliner, []string, ...any) *redis.Cmd,
) (unknown []int) {
	pipe := client.Pipeline()
	cmds := make([]*redis.Cmd, len(which))
	for n, i := range which {
		cmds[n] = call(pipe, []string{writes[i].key}, writes[i].value, milliseconds(writes[i].ttl))
	}
	_, err := pipe.Exec(ctx)
	none := failedAsWhole(cmds, err)
	for n, i := range which {
		if none {
			results[i] = writeResult{err: err}
			continue
		}
		reply, err := cmds[n].Result()
		switch stored, isNumber := reply.(int64); {
		case err != nil && redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = append(unknown, i)
			results[i] = writeResult{err: err}
		case err != nil:
			results[i] = writeResult{err: err}
		case !isNumber:
			results[i] = writeResult{err: errProtocol}
		default:
			results[i] = writeResult{stored: stored == 1}
		}
	}
	return unknown
}

// errProtocol reports a reply that does not fit the command.
var errProtocol = errors.New("unexpected reply")
