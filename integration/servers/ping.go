package servers

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ping asks a Redis once, on a connection of its own. A go-redis client would
// write to standard error each time a server that is still starting refuses it.
func ping(ctx context.Context, target string) error {
	config, err := redis.ParseURL(target)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, config.Network, config.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if config.TLSConfig != nil {
		conn = tls.Client(conn, config.TLSConfig)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}

	replies := bufio.NewReader(conn)
	if config.Password != "" {
		login := []string{"AUTH", config.Password}
		if config.Username != "" {
			login = []string{"AUTH", config.Username, config.Password}
		}
		if _, err := ask(conn, replies, login...); err != nil {
			return err
		}
	}
	reply, err := ask(conn, replies, "PING")
	if err == nil && reply != "+PONG" {
		return errors.New("what answers there is not a Redis")
	}
	return err
}

// ask sends one command and reads a reply of one line.
func ask(conn net.Conn, replies *bufio.Reader, words ...string) (string, error) {
	request := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		request += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := conn.Write([]byte(request)); err != nil {
		return "", err
	}
	reply, err := replies.ReadString('\n')
	if err != nil {
		return "", err
	}
	reply = strings.TrimSpace(reply)
	if problem, failed := strings.CutPrefix(reply, "-"); failed {
		return "", errors.New(problem)
	}
	return reply, nil
}
