package sessionstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/reporadar/pgsession/internal/client"
	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// core is what a Manager shares with its requests and their sessions. They use
// it and never the Manager, whose methods are for applications.
type core struct {
	cfg      Config // complete and checked
	expiry   store.Expiry
	proxies  client.Proxies
	store    store.Store
	cookie   *cookie.Codec
	legacy   *takeover     // nil for none
	askFor   time.Duration // after a save its client asks Postgres; 0 for not at all
	newToken func() cookie.Token

	newLoginID func() store.LoginID

	events  *events
	places  *seenPlaces
	touches touches
	watches watches
	warned  warnings
}

// warnings are the faults of a setup that were logged.
type warnings struct {
	link, form atomic.Bool // a cookie was withheld from one
	plain      atomic.Bool // a Secure cookie was sent over plain http
	domain     atomic.Bool // the cookie's domain is not the host's
	noAddress  atomic.Bool // a client has no address
	late       atomic.Bool // the session was used after the response began
	nested     atomic.Bool // two Handlers of one request write one cookie
	bypassed   seldom      // a response had no cookie
	failures   lineRate    // a HandlerFunc returned an error
}

// observe counts an event and queues it for the Observer.
func (c *core) observe(ctx context.Context, e Event) { c.events.observe(ctx, e) }
