package cookie

import (
	"net/http"
	"strings"
)

// bearerName stands in a MAC where that of a cookie has the cookie's name. No
// cookie can have this name, so no cookie is a token of the header, and none of
// those is a cookie.
const bearerName = "Authorization: Bearer"

// NewBearer makes a codec for tokens in the Authorization header. They have the
// form of a cookie's value. It writes no cookies.
func NewBearer(env string, secrets []string) (*Codec, error) {
	return NewCodec(Attributes{Name: bearerName}, env, secrets)
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
