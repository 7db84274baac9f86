package sessionstore

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
)

// Withheld reports whether the browser may have a session whose cookie it did
// not send. A browser withholds the cookie if another site caused the request:
// by a link if SameSite is Strict (see [CookieConfig]), by a form unless it is
// None. Withheld is also true for some minutes if another instance made the
// session in an emergency and has yet to restore it.
//
// A withheld session is empty. Values that are set in it last for the request:
// no session begins, and no cookie is written. A [Session.Login] begins one all
// the same. [ServeWithheld] makes the browser repeat a link with its cookie.
func (s *Session) Withheld() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identity == withheld
}

// ServeWithheld answers a link from another site whose session was withheld,
// and reports whether it did; the handler returns then. The answer is a page
// that requests its own address again, by a script or a link. That request
// comes from this site, so the browser sends the cookie. ServeWithheld does not
// answer other requests, such as forms and those of scripts.
//
// Call it first in pages that show the user, and in the callback of a sign-in
// that returns by GET. [RequireAuth] and [RequireLogin] do so themselves. Of
// nested Handlers it asks the session of the innermost one.
func ServeWithheld(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Site") != "cross-site" ||
		!topLevel(r) || fromThisHost(r) {
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
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+nonce+"'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = fmt.Fprintf(w, withheldPage, html.EscapeString(nonce))
	return true
}

// withheldPage requests its own address. In some browsers a reload or a
// redirect would count as another request of the other site. The address gets a
// query for a moment, since a change of the fragment alone sends no request.
// The history entry is replaced, so that the back button leads to the other
// site.
const withheldPage = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Continue</title>
<p><a href="">Continue</a></p>
<script nonce="%s">const to = location.href; history.replaceState(null, "", "?continue"); location.replace(to)</script>
</html>
`

// fromThisHost reports whether a page of this host caused the request, as that
// of ServeWithheld does, which is not sent twice.
func fromThisHost(r *http.Request) bool {
	from, err := url.Parse(r.Referer())
	return err == nil && from.Host != "" && from.Host == r.Host
}
