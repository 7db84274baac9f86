package contestant

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/boj/redistore"
	"github.com/gomodule/redigo/redis"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// Gorilla is gorilla/sessions with redistore. It loads by request only, not by
// key: each load verifies the cookie and decodes the payload, as JSON, which is
// faster than its default.
type Gorilla struct {
	store   *redistore.RediStore
	cookies []string
}

var _ Loader = (*Gorilla)(nil)

const gorillaCookie = "session"

// NewGorilla connects to Redis and signs cookies for the rows 0..n-1 and this
// many callers.
func NewGorilla(c *rows.Cache, n, callers int) (*Gorilla, error) {
	target, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL is not a URL")
	}
	pool := &redis.Pool{
		MaxIdle: callers,
		Dial:    func() (redis.Conn, error) { return redis.DialURL(target.String()) },
	}
	store, err := redistore.NewRediStoreWithPool(pool, securecookie.GenerateRandomKey(32))
	if err != nil {
		return nil, err
	}
	store.SetKeyPrefix(c.Prefix)
	store.SetSerializer(redistore.JSONSerializer{})
	g := &Gorilla{store: store}
	for i := range n {
		cookie, err := securecookie.EncodeMulti(gorillaCookie, rows.Token(i), store.Codecs...)
		if err != nil {
			return nil, err
		}
		g.cookies = append(g.cookies, gorillaCookie+"="+cookie)
	}
	return g, nil
}

func (*Gorilla) Name() string { return "gorilla_redis" }

func (g *Gorilla) Load(_ context.Context, i int) error {
	_, err := g.session(i)
	return err
}

func (g *Gorilla) Payload(_ context.Context, i int) ([]byte, error) {
	session, err := g.session(i)
	if err != nil {
		return nil, err
	}
	values := make(map[string]any, len(session.Values))
	for key, value := range session.Values {
		values[key.(string)] = value
	}
	return json.Marshal(values)
}

func (g *Gorilla) session(i int) (*sessions.Session, error) {
	if i >= len(g.cookies) {
		return nil, errMissing
	}
	session, err := g.store.New(&http.Request{Header: http.Header{"Cookie": {g.cookies[i]}}},
		gorillaCookie)
	if err == nil && session.IsNew {
		err = errMissing
	}
	return session, err
}

func (g *Gorilla) Close() error { return g.store.Close() }
