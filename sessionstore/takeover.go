package sessionstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/internal/object"
	"github.com/reporadar/pgsession/legacy"
)

// takeover takes over the sessions of another library.
type takeover struct {
	LegacyConfig
	cookie  *cookie.Codec
	shares  bool // the name of our own cookie
	timeout time.Duration
}

// takeover returns nil for none.
func (c *Config) takeover() *takeover {
	if !c.Legacy.set() {
		return nil
	}
	attributes := c.Cookie.attributes()
	attributes.Name = c.Legacy.Cookie.Name()
	codec := cookie.NewLegacyCodec(attributes, c.Legacy.Cookie, c.Cookie.Persistent)
	return &takeover{
		LegacyConfig: c.Legacy, cookie: codec, shares: attributes.Name == c.Cookie.Name,
		timeout: c.StoreTimeout,
	}
}

// open reports whether the window is open. t may be nil.
func (t *takeover) open() bool { return t != nil && time.Now().Before(t.Until) }

// cookiesOf returns which cookies of the other library a request has while the
// window is open.
func (t *takeover) cookiesOf(r *http.Request) legacyCookies {
	switch {
	case !t.open() || !t.cookie.Has(r):
		return noLegacy
	case t.shares:
		return legacyShare
	}
	return legacyName
}

// legacyCookies are cookies of another library, whose sessions are taken over.
type legacyCookies uint8

const (
	noLegacy    legacyCookies = iota
	legacyName                // under a name of their own
	legacyShare               // under our name
)

// load looks for a session of the other library that can be kept here.
func (t *takeover) load(ctx context.Context, sid string) (legacy.Session, error) {
	if t.Store == nil {
		return legacy.Session{}, ErrNotFound
	}
	var old legacy.Session
	err := within(ctx, t.timeout, func(ctx context.Context) (err error) {
		old, err = t.Store.Load(ctx, sid)
		return err
	})
	if err != nil {
		return legacy.Session{}, unanswered(err)
	}
	values, err := object.Decode(old.Data)
	problem := "is no JSON object"
	if err == nil {
		old.Data = object.Encode(values)
		problem = checkJSON(old.Data)
	}
	if problem == "" && old.UserID != "" {
		problem = checkUserID(old.UserID)
	}
	if problem != "" {
		return legacy.Session{}, fmt.Errorf("%w: it %s", legacy.ErrUnreadable, problem)
	}
	old.Data = plainNumbers(old.Data)
	return old, nil
}

// unanswered makes an error of the other library's store an ErrUnavailable,
// unless it is an answer.
func unanswered(err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, legacy.ErrUnreadable) ||
		errors.Is(err, ErrUnavailable) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: the sessions of the other library: %w", ErrUnavailable, err)
}

// end ends a session of the other library.
func (t *takeover) end(ctx context.Context, sid string) error {
	if t.Store == nil {
		return nil
	}
	err := within(ctx, t.timeout, func(ctx context.Context) error { return t.Store.End(ctx, sid) })
	if err != nil {
		return unanswered(err)
	}
	return nil
}
