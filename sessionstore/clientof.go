package sessionstore

import (
	"net/http"

	"github.com/reporadar/pgsession/internal/client"
)

const addressAdvice = "the suspicion check sees no change of network: behind a proxy on a unix socket, " +
	"add unix to TRUSTED_PROXIES and let the proxy send X-Forwarded-For"

// clientOf is what is kept about where a request came from, cut as the Config says.
func (m *Manager) clientOf(r *http.Request) Client {
	c := m.proxies.ClientOf(r)
	if !c.IP.IsValid() && !m.cfg.Suspicion.DisableCheck && m.saidNoAddress.CompareAndSwap(false, true) {
		m.cfg.Logger.Warn("client address unknown", "advice", addressAdvice)
	}
	c.IP = client.Truncated(c.IP, m.cfg.Privacy.IPv4Prefix, m.cfg.Privacy.IPv6Prefix)
	return c
}
