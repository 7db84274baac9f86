package cookie

import (
	"strings"

	"github.com/reporadar/pgsession/legacy"
)

// legacyFormat is the format of another library.
type legacyFormat struct {
	legacy.Format
	persistent bool
}

// sign returns the value for the ticket's session id. Nothing else of the
// ticket has a place in it.
func (f legacyFormat) sign(t Ticket) string { return f.Encode(t.Token.SID) }

// verify takes a value that another secret than the first has signed, or that
// is spelled in another way, for a stale one.
func (f legacyFormat) verify(value string) (Ticket, bool) {
	sid, ok := f.Decode(value)
	if !ok {
		return Ticket{}, false
	}
	t := Ticket{Token: LegacyToken(sid), Persistent: f.persistent}
	t.Stale = f.sign(t) != value
	return t, true
}

func (f legacyFormat) newToken() Token { return LegacyToken(f.New()) }

// foreign reports whether a value looks like one of our own format.
func (f legacyFormat) foreign(value string) bool {
	return len(value) == ValueChars && strings.HasPrefix(value, cookieVersion+".")
}

// ofExpress reports whether a value looks like the signed cookie of Express:
// "s:", a session id, a dot and a MAC. It does not say whether it is genuine.
func ofExpress(value string) bool {
	const least = len("s:.") + 43
	return len(value) >= least && strings.Contains(value, ".") &&
		(strings.HasPrefix(value, "s%3A") || strings.HasPrefix(value, "s%3a") ||
			strings.HasPrefix(value, "s:"))
}
