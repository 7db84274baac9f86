package load

import (
	"bufio"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	var r Response
	from := bufio.NewReader(
		strings.NewReader(
			"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nSet-Cookie: __Host-session=v1.abc; " +
				"Path=/; Secure\r\nSet-Cookie: __Host-session-seen=1; Max-Age=1\r\nContent-Length: 4\r\n\r\nuser" +
				"HTTP/1.1 503 Service Unavailable\ncontent-length:0\n\n"))
	if err := r.read(from); err != nil || r.Status != 200 || string(r.Body) != "user" ||
		string(r.cookie) != "__Host-session=v1.abc" {
		t.Errorf("%v: status %d, body %q, cookie %q", err, r.Status, r.Body, r.cookie)
	}
	if err := r.read(from); err != nil || r.Status != 503 || len(r.Body) != 0 ||
		len(r.cookie) != 0 {
		t.Errorf("the next one: %v: status %d, body %q, cookie %q", err, r.Status, r.Body, r.cookie)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                "",
		"no HTTP":                "hello\r\n\r\n",
		"no status":              "HTTP/1.1 \r\n\r\n",
		"a status of letters":    "HTTP/1.1 abc OK\r\n\r\n",
		"no length":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"an empty length":        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"a negative length":      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"an enormous length":     "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"a header that is cut":   "HTTP/1.1 200 OK\r\nContent-Le",
		"a body that is cut":     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nus",
		"a line beyond a buffer": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 5000),
	} {
		var r Response
		if err := r.read(bufio.NewReaderSize(strings.NewReader(text), 4096)); err == nil {
			t.Errorf("%s was read as a response", name)
		}
	}
}
