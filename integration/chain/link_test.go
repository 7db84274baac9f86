package chain_test

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// link is the connection from one instance to one server. It can fail in many
// ways.
type link struct {
	t      testing.TB
	to     string
	listen string

	mu    sync.Mutex
	proxy *toxiproxy.Proxy
}

func connect(t testing.TB, to string) *link {
	t.Helper()
	l := &link{t: t, to: to, listen: ownAddress()}
	l.heal()
	t.Cleanup(l.down)
	return l
}

var links atomic.Uint32

// ownAddress returns a loopback address that no other link has. While a link is
// down, another connection could take its port on a shared address. Where a
// machine has one loopback address only, that may happen.
func ownAddress() string {
	n := links.Add(1)
	own := fmt.Sprintf("127.1.%d.%d:0", n/250, n%250+1)
	listener, err := net.Listen("tcp", own)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = listener.Close()
	return own
}

// trapped is heal with a trap that is set before the first connection.
func (l *link) trapped(kind, stream string, words ...string) *trap {
	l.t.Helper()
	var tr *trap
	l.mend(func() { tr = l.trapLocked(kind, stream, words...) })
	return tr
}

// heal replaces the proxy by one without any toxic, and cuts all connections.
// It never removes a toxic from a proxy at work. One that waits to write to a
// client that has left would block toxiproxy.
func (l *link) heal() {
	l.t.Helper()
	l.mend(func() {})
}

// mend is heal that calls before when the proxy exists and does not listen yet.
func (l *link) mend(before func()) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.proxy != nil {
		l.proxy.Stop()
	}
	l.proxy = toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil),
		zerolog.Nop()), "link", l.listen, l.to)
	before()
	if err := l.proxy.Start(); err != nil {
		l.t.Error(err)
		return
	}
	l.listen = l.proxy.Listen
}

// down refuses new connections and cuts the others.
func (l *link) down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
}

// toxic adds one of toxiproxy's toxics, or of those below, to present and
// future connections.
func (l *link) toxic(kind, stream, attributes string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.toxicLocked(kind, stream, attributes)
}

func (l *link) toxicLocked(kind, stream, attributes string) {
	l.t.Helper()
	toxic := fmt.Sprintf(`{"type": %q, "stream": %q, "attributes": %s}`, kind, stream, attributes)
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		l.t.Fatal(err)
	}
}

// hang keeps connections open and lets nothing through.
func (l *link) hang() { l.toxic("timeout", "downstream", `{"timeout": 0}`) }

// slow delays each answer by that many milliseconds.
func (l *link) slow(ms int) { l.toxic("latency", "downstream", fmt.Sprintf(`{"latency": %d}`, ms)) }

// reset cuts a connection when the server answers.
func (l *link) reset() { l.toxic("reset_peer", "downstream", `{"timeout": 0}`) }

// garble replaces the answer by bytes that are not of the protocol.
func (l *link) garble() { l.toxic("garbage", "downstream", `{}`) }

// via returns the URL with the link in place of the server.
func (l *link) via(server string) string {
	l.t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		l.t.Fatal("not a URL")
	}
	u.Host = l.listen
	return u.String()
}

// trap catches messages that contain one of the words. It catches a fixed
// number, and lets later ones pass.
type trap struct {
	words  []string
	left   atomic.Int64
	sprung chan struct{}
	open   chan struct{} // of a trap that holds
}

var traps sync.Map // by name

// trap sets one on the link. A loss cuts the connection and drops what it
// caught. A hold lets it pass when open is closed.
func (l *link) trap(kind, stream string, words ...string) *trap {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trapLocked(kind, stream, words...)
}

func (l *link) trapLocked(kind, stream string, words ...string) *trap {
	l.t.Helper()
	tr := &trap{words: words, sprung: make(chan struct{}, 10_000), open: make(chan struct{})}
	name := fmt.Sprintf("%p", tr)
	traps.Store(name, tr)
	l.toxicLocked(kind, stream, fmt.Sprintf(`{"trap": %q}`, name))
	return tr
}

func (tr *trap) catches(data []byte) bool {
	for _, word := range tr.words {
		if bytes.Contains(data, []byte(word)) && tr.left.Add(-1) >= 0 {
			return true
		}
	}
	return false
}

// loss drops an answer, and cuts its connection.
type loss struct {
	Trap string `json:"trap"`
}

func (l *loss) Pipe(stub *toxics.ToxicStub) {
	found, _ := traps.Load(l.Trap)
	tr := found.(*trap)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil || tr.catches(c.Data) {
				if c != nil {
					tr.sprung <- struct{}{}
				}
				stub.Close()
				return
			}
			stub.Output <- c
		}
	}
}

// hold delays a message, and what follows on its connection.
type hold struct {
	Trap string `json:"trap"`
}

func (h *hold) Pipe(stub *toxics.ToxicStub) {
	found, _ := traps.Load(h.Trap)
	tr := found.(*trap)
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if tr.catches(c.Data) {
				tr.sprung <- struct{}{}
				<-tr.open
			}
			stub.Output <- c
		}
	}
}

const noise = "$9\r\n*:+-x\x00\xff"

// garbage replaces a message by bytes of the same length.
type garbage struct{}

func (*garbage) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			for i := range c.Data {
				c.Data[i] = noise[(i*7+len(c.Data))%len(noise)]
			}
			stub.Output <- c
		}
	}
}

func init() {
	toxics.Register("loss", new(loss))
	toxics.Register("hold", new(hold))
	toxics.Register("garbage", new(garbage))
}
