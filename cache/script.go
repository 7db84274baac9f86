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

// scriptSHA is the SHA-1 of script, by which Redis knows it. A test compares them: SHA-1 is refused at run time under
// GODEBUG=fips140=only.
const scriptSHA = "bdade8d8abf59b8801c82bea7320207832f27554"

// write is one run of the script: a fill, or a tombstone.
type write struct {
	key   string
	value []byte
	ttl   time.Duration
}

// milliseconds rounds up: no key may be without an end, which 0 would be an error for.
func milliseconds(ttl time.Duration) int64 {
	return max(1, int64((ttl+time.Millisecond-1)/time.Millisecond))
}

// answer is what came of a write.
type writeResult struct {
	stored bool
	err    error
}

// runScript does all writes in one exchange. Where the server does not know the script, after a restart, a failover or a
// SCRIPT FLUSH, it gets its text with these very calls: loading it first would leave a gap in which it can be lost
// again, and on a Cluster each master has to be told.
func runScript(ctx context.Context, client redis.UniversalClient, writes []write) []writeResult {
	answers := make([]writeResult, len(writes))
	all := make([]int, len(writes))
	for i := range all {
		all[i] = i
	}
	unknown := send(ctx, client, writes, answers, all, func(pipe redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
		return pipe.EvalSha(ctx, scriptSHA, keys, args...)
	})
	if len(unknown) > 0 {
		send(ctx, client, writes, answers, unknown, func(pipe redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
			return pipe.Eval(ctx, script, keys, args...)
		})
	}
	return answers
}

// send does those writes whose numbers are given, and returns the numbers of those for which the script is unknown.
func send(ctx context.Context, client redis.UniversalClient, writes []write, answers []writeResult, which []int,
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
			answers[i] = writeResult{err: err}
			continue
		}
		reply, err := cmds[n].Result()
		switch stored, isNumber := reply.(int64); {
		case err != nil && redis.HasErrorPrefix(err, "NOSCRIPT"):
			unknown = append(unknown, i)
			answers[i] = writeResult{err: err}
		case err != nil:
			answers[i] = writeResult{err: err}
		case !isNumber:
			answers[i] = writeResult{err: errProtocol}
		default:
			answers[i] = writeResult{stored: stored == 1}
		}
	}
	return unknown
}

// errStrange: Redis, or whatever listens there, gave an answer that does not go with the question.
var errProtocol = errors.New("strange answer")
