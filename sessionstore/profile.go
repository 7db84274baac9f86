package sessionstore

import (
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Profile is a set of limits for the sessions of one [Manager], after an
// authenticator assurance level of NIST SP 800-63B-4. It sets the timeouts that
// the [Config] leaves out. What the Config sets more loosely is a deviation,
// which the log and [Health] report: see [Config.Deviations]. Staff and
// customers with different profiles need two Managers with two cookie names.
//
// It limits the sessions that begin or log in from then on. Those that are
// there keep their deadlines: call [Manager.RevokeAll] after turning it on.
//
// A profile limits sessions only. That a user has proved enough for the level
// is up to the application: see [RequireAuth].
type Profile int

// The profiles. The zero value has no limits.
const (
	noProfile Profile = iota
	// AAL1 ends a session 30 days after its login.
	AAL1
	// AAL2 ends a session 24 hours after its login and after 1 hour without a
	// use. The cookie ends with the browser: [Session.RememberMe] has no
	// effect.
	AAL2
	// AAL3 is AAL2 with 12 hours and 15 minutes.
	AAL3
)

// String returns the name, as in SESSION_PROFILE.
func (p Profile) String() string {
	switch p {
	case noProfile:
		return "none"
	case AAL1:
		return "aal1"
	case AAL2:
		return "aal2"
	case AAL3:
		return "aal3"
	}
	return "unknown"
}

// profileLimits are the limits of a profile; 0 is none. Those of the timeouts
// are of SP 800-63B-4, sections 2.1.3, 2.2.3 and 2.3.3. That of the exposure is
// our own.
type profileLimits struct {
	idle     time.Duration
	absolute time.Duration
	exposure time.Duration // of a revoked session
}

var limitsOf = map[Profile]profileLimits{
	AAL1: {absolute: 30 * 24 * time.Hour},
	AAL2: {idle: time.Hour, absolute: 24 * time.Hour, exposure: 5 * time.Minute},
	AAL3: {idle: 15 * time.Minute, absolute: 12 * time.Hour, exposure: time.Minute},
}

// longestIdle returns for how long a session can be unused until it ends:
// deadlines are rounded up to the resolution. That a use within a touch
// interval of another is not written only ends it sooner.
func longestIdle(e store.Expiry) time.Duration {
	if e.Fixed {
		return e.Idle
	}
	return e.Idle + e.Resolution()
}

// defaultTimeouts returns the timeouts of a profile. The idle timeout leaves
// room for the rounding.
func (p Profile) defaultTimeouts() (idle, absolute time.Duration) {
	limits := limitsOf[p]
	idle, absolute = defaultTimeout, defaultAbsoluteTimeout
	if limits.idle > 0 {
		idle = limits.idle - store.Expiry{Idle: limits.idle}.Resolution()
	}
	if limits.absolute > 0 {
		absolute = limits.absolute
	}
	return idle, absolute
}

// remembers reports whether a cookie may outlive the browser.
func (p Profile) remembers() bool { return p < AAL2 }
