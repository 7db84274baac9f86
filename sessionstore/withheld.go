package sessionstore

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
)

// Withheld reports whether the browser may have a session whose cookie it did
// not send, since another site caused the request: a link with SameSite=Strict
// (see [CookieConfig]), or a form with anything but None. It is true for some
// minutes, too, for a session that another instance made in an emergency and
// has yet to restore.
//
// The session is empty then. What is set in it lives for the request: no
// session begins, and no cookie is written. A [Session.Login] overrides that.
// [ServeWithheld] gets the cookie of a link.
func (s *Session) Withheld() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity == withheld
}

// ServeWithheld answers a link from another site whose session was withheld,
// and reports whether it did: the handler returns then. The answer is a page of
// this site that goes to its own address, by a script or a link. That request
// comes from this site, so that the browser sends the cookie. Other requests,
// such as forms and those of scripts, are not answered.
//
// Call it first in pages that need to know the user, and in the callback of a
// sign-in that comes back by GET.
func ServeWithheld(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Site") != "cross-site" || !topLevel(r) || fromThisHost(r) {
		return false
	}
	s, err := FromContext(r.Context())
	if err != nil || !s.Withheld() {
		return false
	}
	s.mu.Lock()
	s.continued = true
	s.mu.Unlock()
	nonce := randomNonce()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = fmt.Fprintf(w, withheldPage, html.EscapeString(nonce))
	return true
}

// withheldPage goes to its own address: a reload would be another request of
// the other site in some browsers, and so would a redirect. The address differs
// for a moment, since going to the same one with a fragment sends no request.
// It is replaced, so that the back button leads to the other site.
const withheldPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Continue</title>
<p><a href="">Continue</a></p>
<script nonce="%s">const to = location.href; history.replaceState(null, "", "?continue"); location.replace(to)</script>
</html>
`

// fromThisHost reports whether a page of this host caused the request, as the
// one that ServeWithheld has sent: it is not sent twice.
func fromThisHost(r *http.Request) bool {
	from, err := url.Parse(r.Referer())
	return err == nil && from.Host != "" && from.Host == r.Host
}
