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

// link is the way from one instance to one server, which can be made a bad one.
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

// ownAddress is one that no other link has. While a link is down its port on a shared address could be taken, by a connection to
// anywhere. Where a machine has but one loopback address that may happen.
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

// trapped is heal, with a trap that is there before the first connection.
func (l *link) trapped(kind, stream string, words ...string) *trap {
	l.t.Helper()
	var tr *trap
	l.mend(func() { tr = l.trapLocked(kind, stream, words...) })
	return tr
}

// heal makes a proxy without any toxic in place of the one that was. All connections are cut. Toxics are not taken away
// from a proxy at work: one that waits to write to a client that has left would hold up toxiproxy for good.
func (l *link) heal() {
	l.t.Helper()
	l.mend(func() {})
}

// mend is heal; before is called when the proxy is there and does not listen yet.
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

// down refuses connections and cuts those there are.
func (l *link) down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
}

// toxic adds one of toxiproxy's toxics, or of those below, also to the connections there are.
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

// slow delays each answer by so many milliseconds.
func (l *link) slow(ms int) { l.toxic("latency", "downstream", fmt.Sprintf(`{"latency": %d}`, ms)) }

// reset cuts a connection when the server answers.
func (l *link) reset() { l.toxic("reset_peer", "downstream", `{"timeout": 0}`) }

// garble answers with something that is not of the protocol.
func (l *link) garble() { l.toxic("garbage", "downstream", `{}`) }

// via is a URL with the link in place of the server.
func (l *link) via(server string) string {
	l.t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		l.t.Fatal("not a URL")
	}
	u.Host = l.listen
	return u.String()
}

// trap waits for what contains one of the words. A trap is set for so many; what comes after them passes.
type trap struct {
	words  []string
	left   atomic.Int64
	sprung chan struct{}
	open   chan struct{} // of one that holds
}

var traps sync.Map // by name

// trap puts one on the link: a loss cuts the connection and drops what was caught; a hold lets it through when open is closed.
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

// loss loses an answer, together with its connection.
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

// hold keeps something back, and what follows on its connection.
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

// garbage has the length of what it stands for, and nothing else in common with it.
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
