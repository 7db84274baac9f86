// Package rope is a proxy in front of a server that can be cut or held.
package rope

import (
	"io"
	"net"
	"net/url"
	"sync"
)

// Rope forwards connections to a server.
type Rope struct {
	to, at string

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	state    state
	held     chan struct{} // closed unless held
	conns    map[net.Conn]struct{}
}

type state int

const (
	whole state = iota
	held        // connections stay open, and nothing comes back
	cut         // connections are closed, and new ones refused
)

// New starts to listen on the loopback interface.
func New(to string) (*Rope, error) {
	r := &Rope{to: to, at: "127.0.0.1:0", held: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(r.held)
	return r, r.listen()
}

func (r *Rope) listen() error {
	listener, err := net.Listen("tcp", r.at)
	if err != nil {
		return err
	}
	r.listener, r.at = listener, listener.Addr().String()
	go r.accept(listener)
	return nil
}

// Via returns a server's URL with the rope in place of the server.
func (r *Rope) Via(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Host = r.at
	return u.String(), nil
}

// Whole forwards everything again. It closes the connections from before.
func (r *Rope) Whole() error { return r.become(whole) }

// Hold keeps back everything from the server, on open and new connections.
func (r *Rope) Hold() error { return r.become(held) }

// Cut closes all connections and refuses new ones. It also ends the use of the
// rope.
func (r *Rope) Cut() error { return r.become(cut) }

func (r *Rope) become(s state) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == held && s != held {
		close(r.held)
	}
	if s == held && r.state != held {
		r.held = make(chan struct{})
	}
	r.state = s
	if s == cut && r.listener != nil {
		err, r.listener = r.listener.Close(), nil
	}
	if s != cut && r.listener == nil {
		err = r.listen()
	}
	if s != held {
		for conn := range r.conns {
			_ = conn.Close()
		}
		clear(r.conns)
	}
	return err
}

func (r *Rope) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go r.pass(client)
	}
}

func (r *Rope) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	r.mu.Lock()
	if r.state == cut {
		r.mu.Unlock()
		return
	}
	r.conns[client], r.conns[server] = struct{}{}, struct{}{}
	r.mu.Unlock()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		r.mu.Lock()
		wait := r.held
		r.mu.Unlock()
		<-wait
		if n > 0 {
			if _, err := client.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	r.mu.Lock()
	delete(r.conns, client)
	delete(r.conns, server)
	r.mu.Unlock()
}
