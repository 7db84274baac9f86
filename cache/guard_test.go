package cache

import (
	"errors"
	"net"
	"strings"
	"testing"
)

func TestGuardRejectsTooLargeReplies(t *testing.T) {
	nested := strings.Repeat("*1\r\n", maxDepth)
	for stream, want := range map[string]bool{
		"": true,
		"+OK\r\n-ERR x\r\n:1\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n": true,
		"$3\r\n*9\r\r\n": true, // the content of a string is not parsed
		"$21\r\n$99999999999999999\r\n\r\n\r\n+OK\r\n": true,
		"$1048576\r\n":                           true,
		"$1048577\r\n":                           false,
		"*65536\r\n":                             true,
		"*65537\r\n":                             false,
		"$9223372036854775807\r\n":               false,
		"$18446744073709551617\r\n":              false,
		"$-2\r\n":                                false,
		"$\r\n":                                  false,
		"$1e9\r\n":                               false,
		"$" + strings.Repeat("0", 30) + "1\r\n":  false,
		"%70000\r\n":                             false,
		">70000\r\n":                             false,
		"=2000000\r\n":                           false,
		"!2000000\r\n":                           false,
		"+" + strings.Repeat("a", maxReply+1):    false,
		nested + "+OK\r\n" + nested + "+OK\r\n":  true,
		nested + "*1\r\n":                        false,
		strings.Repeat("*0\r\n", 100):            true,
		strings.Repeat("*1\r\n$1\r\na\r\n", 100): true,
		"$3\r\nabc\r\n$2000000\r\n":              false,

		// An element between two lists doesn't end the first list.
		strings.Repeat("*2\r\n:1\r\n", maxDepth+1):                   false,
		strings.Repeat("*2\r\n*0\r\n", maxDepth+1):                   false,
		strings.Repeat("%1\r\n+a\r\n", maxDepth+1):                   false,
		strings.Repeat("|0\r\n", maxDepth+1):                         false,
		strings.Repeat("|-1\r\n", maxDepth+1):                        false,
		"*60000\r\n:1\r\n*60000\r\n":                                 false,
		"*3\r\n%30000\r\n:1\r\n%30000\r\n":                           false,
		"*2\r\n*1\r\n*-1\r\n" + nested:                               false,
		"*2\r\n*1\r\n*-1\r\n$1\r\na\r\n" + nested:                    true,
		"%1\r\n+a\r\n*2\r\n:1\r\n$-1\r\n" + nested:                   true,
		"|1\r\n+a\r\n:1\r\n*1\r\n:2\r\n" + nested:                    true,
		"*60000\r\n" + strings.Repeat("_\r\n", 60000) + "*60000\r\n": true,
	} {
		for _, step := range []int{1, 2, 3, 7, len(stream) + 1} {
			var l limits
			ok := true
			for rest := stream; len(rest) > 0; {
				n := min(step, len(rest))
				ok = l.allow([]byte(rest[:n]))
				rest = rest[n:]
			}
			if ok != want {
				t.Errorf("%.40q in pieces of %d: %v", stream, step, ok)
			}
			if !want && l.allow([]byte("+OK\r\n")) {
				t.Errorf("%.40q: goes on after it", stream)
			}
		}
	}
}

func TestGuardedConnectionsFail(t *testing.T) {
	ours, theirs := net.Pipe()
	conn := guard(theirs)
	go func() { _, _ = ours.Write([]byte("$2000000\r\nab")) }()
	if n, err := conn.Read(make([]byte, 100)); n != 0 || !errors.Is(err, errReplyTooLarge) {
		t.Errorf("%d, %v", n, err)
	}
}

func FuzzGuard(f *testing.F) {
	committedSeeds(f)
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		var whole, pieces limits
		want := whole.allow(stream)
		at := min(int(cut), len(stream))
		pieces.allow(stream[:at])
		if got := pieces.allow(stream[at:]); got != want {
			t.Fatalf("%q: %v, cut at %d: %v", stream, want, at, got)
		}
	})
}
