package load

import (
	"bufio"
	"fmt"
	"net"
	"time"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// Client is one connection, for one goroutine.
type Client struct {
	conn     net.Conn
	reader   *bufio.Reader
	response Response
}

// Dial connects.
func Dial(address string) (*Client, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, reader: bufio.NewReaderSize(conn, 4096)}, nil
}

// Do sends a request and reads the response, which is valid until the next
// call.
func (c *Client) Do(request []byte) (*Response, error) {
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	if err := c.response.read(c.reader); err != nil {
		return nil, err
	}
	return &c.response, nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Session is a logged-in user.
type Session struct {
	User    string
	request []byte // a GET with the cookie
}

// Request returns the bytes of a request, with a cookie unless that is empty.
func Request(method, target, cookie string) []byte {
	request := method + " " + target + " HTTP/1.1\r\n" + headers
	if cookie != "" {
		request += "Cookie: " + cookie + "\r\n"
	}
	if method != "GET" {
		request += "Content-Length: 0\r\n"
	}
	return []byte(request + "\r\n")
}

const headers = "Host: bench.test\r\nUser-Agent: " + rows.UserAgent +
	"\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\n"

// Login logs in a user without a session.
func (c *Client) Login(user string) (Session, error) {
	r, err := c.Do(Request("POST", "/login?user="+user, ""))
	if err != nil {
		return Session{}, err
	}
	if r.Status != 200 {
		return Session{}, fmt.Errorf("login: status %d: %.200s", r.Status, r.Body)
	}
	if len(r.cookie) == 0 {
		return Session{}, fmt.Errorf("login: the response sets no cookie")
	}
	return Session{User: user, request: Request("GET", "/", r.Cookie())}, nil
}

// Get requests the name of the session's user and compares it.
func (c *Client) Get(s Session) error {
	r, err := c.Do(s.request)
	if err != nil {
		return err
	}
	if r.Status != 200 || string(r.Body) != s.User {
		return fmt.Errorf("status %d with %.200q, want 200 with %q", r.Status, r.Body, s.User)
	}
	return nil
}
