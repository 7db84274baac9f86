package sessionstore

import (
	"errors"
	"time"

	"github.com/reporadar/pgsession/legacy"
)

// maxLegacyWindow bounds LegacyConfig.Until. Stores keep the marks of revokes
// for as long, and without its mark a revoke would no longer reach a session of
// the other library.
const maxLegacyWindow = 400 * 24 * time.Hour

// LegacyConfig takes over the sessions of another library, so that an
// application moves to this one without logging its users out. A request with
// the other library's cookie, and without a session of ours, gets its session:
// with the user and the values, and with our cookie. The other library has it
// no longer. The zero value takes over none.
//
// Turn it on when all logins are made here. Before that, share the sessions
// instead: see [CookieConfig.Format].
//
// The time of the login stays that of the other library. If that is unknown,
// [Session.Fresh] is false until the next login, and each revoke of the user
// that was ever made refuses the session. The token stays until the next login
// too, so the old cookie leads to the session until then, and a backup of the
// old table holds it in plain text.
type LegacyConfig struct {
	// Cookie is the format of the other library's cookie, such as that of
	// [github.com/reporadar/pgsession/legacy/express]. Required with one of the
	// other fields. It has no Domain and Path of its own: a logout clears it
	// under those of the [CookieConfig], and under the others that are likely.
	Cookie legacy.Format
	// Store has the sessions of the other library. Defaults to none: then a
	// cookie leads to a session that is here already, by an import or by
	// [CookieConfig.Format].
	Store legacy.Store
	// Until is when it ends: the cookies of the other library are ignored from
	// then on. Required; at most 400 days ahead. [Health] has it, and how many
	// sessions this process has taken over.
	Until time.Time
}

// set reports whether anything is set.
func (c *LegacyConfig) set() bool {
	return c.Cookie != nil || c.Store != nil || !c.Until.IsZero()
}

func (c *LegacyConfig) check(shared bool, fault func(name, problem string)) {
	if !c.set() {
		return
	}
	if shared {
		fault("Legacy", "can't be used with Cookie.Format: import the sessions, "+
			"or take them over when the other library is gone")
	}
	if c.Cookie == nil {
		fault("Legacy.Cookie", "is not set: it is the format of the other library's cookie")
	} else if err := c.Cookie.Check(); err != nil && !errors.Is(err, legacy.ErrShortSecret) {
		fault("Legacy.Cookie", err.Error())
	}
	switch {
	case c.Until.IsZero():
		fault("Legacy.Until", "is not set: it is when the cookies of the other library end, "+
			"such as 30 days from now")
	case time.Until(c.Until) > maxLegacyWindow:
		fault("Legacy.Until", "must be at most 400 days ahead: revokes are kept for so long")
	}
}

// logNotices logs settings that are valid and may be unintended.
func (c Config) logLegacyNotices() {
	for _, f := range []legacy.Format{c.Cookie.Format, c.Legacy.Cookie} {
		if f != nil && errors.Is(f.Check(), legacy.ErrShortSecret) {
			c.Logger.Warn("short legacy secret", "cookie", f.Name(),
				"error", legacy.ErrShortSecret.Error())
		}
	}
	if c.Legacy.set() && !time.Now().Before(c.Legacy.Until) {
		c.Logger.Warn("legacy window over", "until", c.Legacy.Until,
			"advice", "remove the LegacyConfig, and the other library's sessions")
	}
}

// checkFormat reports what is wrong with CookieConfig.Format, or beside it.
func (c Config) checkFormat(fault func(name, problem string)) {
	f := c.Cookie.Format
	if f == nil {
		if c.Cookie.Persistent && !c.Legacy.set() {
			fault("Cookie.Persistent", "is for the cookies of another library: "+
				"call Session.RememberMe, or set Cookie.Format")
		}
		return
	}
	if err := f.Check(); err != nil && !errors.Is(err, legacy.ErrShortSecret) {
		fault("Cookie.Format", err.Error())
	} else if c.Cookie.Name != f.Name() {
		fault("Cookie.Name", "is that of Cookie.Format: leave it out")
	}
	if c.Cache.inUse() {
		fault("Cookie.Format", "can't be used with a cache: "+
			"a session that the other library ends would be served from it")
	}
}
