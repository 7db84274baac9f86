package cache

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Replies to an MGET of three keys, and their values: "-" for an absent one.
var mgetReplies = map[string][]string{
	"*3\r\n$1\r\na\r\n$-1\r\n$4\r\nb\r\nc\r\n": {"a", "-", "b\r\nc"},
	"*3\r\n_\r\n$0\r\n\r\n$-1\r\n":             {"-", "", "-"},

	"*2\r\n$1\r\na\r\n$1\r\nb\r\n":                       nil,
	"*4\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n": nil,
	"*3\r\n$1\r\na\r\n$1\r\nb\r\n":                       nil,
	"*3\r\n$1\r\na\r\n:1\r\n$-1\r\n":                     nil,
	"*3\r\n$1\r\na\r\n*0\r\n$-1\r\n":                     nil,
	"*3\r\n$1048577\r\na\r\n":                            nil,
	"*3\r\n$x\r\na\r\n":                                  nil,
	"*-1\r\n":                                            nil,
	"$1\r\na\r\n":                                        nil,
	"\r\n":                                               nil,
	"":                                                   nil,
}

func TestMGetRepliesInAnyPieces(t *testing.T) {
	for reply, want := range mgetReplies {
		for size := 1; size <= max(len(reply), 1); size++ {
			r := mgetReply{values: make([]found, 3)}
			var err error
			for rest := reply; rest != "" && err == nil; {
				piece := rest[:min(size, len(rest))]
				rest = rest[len(piece):]
				_, err = r.Write([]byte(piece))
			}
			checkReply(t, reply, &r, err, want)
		}
	}
}

// The way go-redis passes a reply on: lines to Write, values to ReadFrom.
func TestMGetRepliesWithValuesThatAreRead(t *testing.T) {
	for reply, want := range mgetReplies {
		r := mgetReply{values: make([]found, 3)}
		var err error
		for rest := reply; rest != "" && err == nil; {
			if r.want > 0 {
				limited := &io.LimitedReader{R: strings.NewReader(rest), N: int64(r.want)}
				_, err = io.Copy(&r, limited)
				rest = rest[min(len(rest), strings.Index(rest, "\r\n")+2):]
				if r.done == 3 && want != nil { // the last value has a line end inside
					rest = ""
				}
				continue
			}
			line, after, _ := strings.Cut(rest, "\n")
			_, err = r.Write([]byte(line + "\n"))
			rest = after
		}
		checkReply(t, reply, &r, err, want)
	}
}

func checkReply(t *testing.T, reply string, r *mgetReply, err error, want []string) {
	t.Helper()
	values, resultErr := r.result()
	if err = errors.Join(err, resultErr); (err == nil) != (want != nil) {
		t.Fatalf("%q: %v", reply, err)
	}
	for i := range want {
		if got := values[i]; got.exists != (want[i] != "-") ||
			got.exists && string(got.value) != want[i] || cap(got.value) != len(got.value) {
			t.Errorf("%q: value %d is %q, %v", reply, i, got.value, got.exists)
		}
	}
}

func TestMGetRepliesWithAnError(t *testing.T) {
	r := mgetReply{values: make([]found, 3)}
	_, err := r.Write([]byte("-LOADING Redis is loading the dataset in memory\r\n"))
	if _, resultErr := r.result(); err != nil || !redis.HasErrorPrefix(resultErr, "LOADING") ||
		!isReply(resultErr) {
		t.Errorf("%v, %v", err, resultErr)
	}
	if _, err := r.Write([]byte("*3\r\n")); err == nil {
		t.Error("there is more after an error")
	}
}

// No reply makes a value that it did not announce, and none makes us allocate a
// size that is too large.
func FuzzMGetReply(f *testing.F) {
	for reply := range mgetReplies {
		f.Add(reply, uint8(3))
	}
	f.Fuzz(func(t *testing.T, reply string, size uint8) {
		r := mgetReply{values: make([]found, 3)}
		for rest := reply; rest != ""; {
			piece := rest[:min(int(size)+1, len(rest))]
			rest = rest[len(piece):]
			if _, err := r.Write([]byte(piece)); err != nil {
				return
			}
		}
		values, err := r.result()
		for _, v := range values {
			if err == nil && v.exists && !strings.Contains(reply, string(v.value)) {
				t.Errorf("%q is not in %q", v.value, reply)
			}
		}
	})
}
