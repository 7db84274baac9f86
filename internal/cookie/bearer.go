package cookie

import (
	"net/http"
	"slices"
	"strings"
)

// bearerScheme stands in a MAC before the name that a cookie would have. No
// cookie can have such a name, so no cookie is a token of the header, and none
// of those is a cookie.
const bearerScheme = "Authorization: Bearer "

// NewBearer makes a codec for tokens in the Authorization header. They have the
// form of a cookie's value. As with cookies, those of one name are none of
// another. It writes no cookies.
func NewBearer(name, env string, secrets []string) (*Codec, error) {
	return NewCodec(Attributes{Name: bearerScheme + name}, env, secrets)
}

// HasBearer reports whether a request has a header for [Codec.ReadBearer],
// whatever it brings.
func HasBearer(r *http.Request) bool {
	return slices.ContainsFunc(r.Header["Authorization"], func(line string) bool {
		scheme, _, _ := strings.Cut(line, " ")
		return strings.EqualFold(scheme, "Bearer")
	})
}

// ReadBearer returns the ticket of a request's Authorization header. Of two
// headers it can't be said which one a proxy in front has looked at, so a
// request with two of them counts as forged. Another scheme is none of ours.
func (c *Codec) ReadBearer(r *http.Request) (Ticket, presented) {
	lines := r.Header["Authorization"]
	switch len(lines) {
	case 0:
		return Ticket{}, presentedNothing
	case 1:
	default:
		return Ticket{}, PresentedForged
	}
	scheme, value, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Ticket{}, presentedNothing
	}
	t, ok := c.verify(value)
	if !ok {
		return Ticket{}, PresentedForged
	}
	return t, PresentedTickets
}
