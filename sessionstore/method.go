package sessionstore

import (
	"slices"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// LoginOption adds to what [Session.Login], [Session.BeginLogin] and
// [Session.CompleteLogin] do: [AuthenticatedBy], [WithTags], [WithLifetime],
// [ProvedAt] and [DropValues].
type LoginOption interface {
	// apply changes what the login writes. The error is a *ValueError.
	apply(a *authentication) error
}

// DropValues drops what the session held before the login, also what other
// requests store meanwhile. What this request sets and has not saved stays.
// Values that came before the login may be of an attacker who planted the
// session, such as a redirect target, an e-mail address to confirm or a cart.
const DropValues dropOption = 1

type dropOption int

func (dropOption) apply(a *authentication) error {
	a.dropValues = true
	return nil
}

// loginOption is an option with a value.
type loginOption func(a *authentication) error

func (o loginOption) apply(a *authentication) error { return o(a) }

// AuthenticatedBy names the methods by which the user has proved who they are,
// and their level, as in
//
//	s.Login(ctx, userID, AuthenticatedBy(1, "password"))
//	s.Login(ctx, userID,
//		AuthenticatedBy(1, "password"), AuthenticatedBy(2, "totp"))
//
// The application chooses the levels, from 0 to 99: a library can't derive from
// a name how strong a proof was. The highest level of the login is that of the
// session. See [Session.Level] and [Session.Authenticated].
//
// A method has a name of 1 to 32 bytes of a-z, 0-9, '.', '_' and '-'. Of two
// methods with the same name the later one counts. A login has at most 8.
// Anything else is a *[ValueError] of the login.
func AuthenticatedBy(level int, methods ...string) LoginOption {
	return loginOption(func(a *authentication) error {
		if len(methods) == 0 {
			return &ValueError{Key: "method", Problem: "is missing: a level is that of a method"}
		}
		for _, name := range methods {
			m, err := newMethod(level, name)
			if err != nil {
				return err
			}
			a.methods = merged(a.methods, m)
		}
		return nil
	})
}

// maxProofAge bounds [ProvedAt]. Stores keep the marks of revokes for longer.
const maxProofAge = 365 * 24 * time.Hour

// ProvedAt says when the user proved who they are, if that was before the
// request: the iat of an ID token, or when a link by mail was sent. A revoke of
// the user, of a tag of the login or of all users that came later refuses the
// login with [ErrRevoked]. Without ProvedAt only a revoke during the request
// does. The auth_time of an ID token is too old for it: after a revoke it would
// refuse each login by single sign-on until the user proves it anew at the
// provider.
//
// A time of the future counts as now, since the clock of an identity provider
// may be ahead. If it is behind, a login right after a revoke is refused, and
// within the second of the revoke, as iat has whole seconds: let the user try
// again. The zero time, and one of more than a year ago, are a *[ValueError] of
// the login.
//
// It changes no other time: the methods count as accepted with the login. It is
// for [Session.Login] and [Session.BeginLogin]. The second factor comes after
// the first, so for [Session.CompleteLogin] it is a *[ValueError].
func ProvedAt(at time.Time) LoginOption {
	return loginOption(func(a *authentication) error {
		problem := ""
		switch {
		case a.step == stepCompletion:
			problem = "is for Login and BeginLogin only"
		case at.IsZero():
			problem = "is the zero time"
		case time.Since(at) > maxProofAge:
			problem = "is more than a year ago"
		}
		if problem != "" {
			return &ValueError{Key: "time of the proof", Problem: problem}
		}
		a.provedAt = at
		return nil
	})
}

const (
	// maxMethods is how many methods a login can have. With the longest names,
	// and the ages that a restore adds, they fit the 2,048 bytes that Postgres
	// allows.
	maxMethods = 8
	// maxStepTags is how many tags each of two factors can add: a completion
	// does not load those of the pending login.
	maxStepTags = store.MaxTags / 2
)

var errTooManyMethods = &ValueError{Key: "method", Problem: "a login has more than 8 methods"}

// newMethod returns a method that is accepted now.
func newMethod(level int, name string) (store.Method, error) {
	const maxNameBytes = 32
	problem := ""
	switch {
	case level < 0 || level > store.MaxLevel:
		return store.Method{}, &ValueError{Key: "level", Problem: "is not between 0 and 99"}
	case name == "":
		problem = "has an empty name"
	case len(name) > maxNameBytes:
		problem = "has a name longer than 32 bytes"
	case slices.ContainsFunc([]byte(name), func(c byte) bool { return !nameByte(c) }):
		problem = "has a name with another character than a-z, 0-9, '.', '_' and '-'"
	}
	if problem != "" {
		return store.Method{}, &ValueError{Key: "method", Problem: problem}
	}
	return store.Method{Name: name, Level: level}, nil
}

func nameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		return true
	}
	return false
}

// merged returns the methods of both. Of two with the same name it keeps the
// one of more.
func merged(methods []store.Method, more ...store.Method) []store.Method {
	all := slices.Clone(methods)
	for _, m := range more {
		all = slices.DeleteFunc(all, func(old store.Method) bool { return old.Name == m.Name })
		all = append(all, m)
	}
	return all
}

// authentication is what the next save does about the login. The zero value is
// nothing.
type authentication struct {
	step     authStep
	userID   string        // of a login, pending or not
	loginID  store.LoginID // of a login or a completion; of a step-up, the one it needs
	methods  []store.Method
	tags     []store.Tag
	lifetime time.Duration // of the session, from the login on; 0 for the longest

	provedAt   time.Time // zero for during the request
	dropValues bool
}

// authStep is the kind of an authentication.
type authStep uint8

const (
	noStep         authStep = iota
	stepLogin               // userID is logged in
	stepUp                  // methods are added to the login
	stepBegin               // a login of userID is pending
	stepCompletion          // the pending login of userID is completed
)

// newAuthentication applies the options. The error is a *ValueError.
func newAuthentication(
	step authStep, userID string, options []LoginOption,
) (authentication, error) {
	a := authentication{step: step, userID: userID}
	for _, o := range options {
		if err := o.apply(&a); err != nil {
			return authentication{}, err
		}
	}
	return a, a.check()
}

// check returns a *ValueError if there are more methods or tags than a login
// can have.
func (a *authentication) check() error {
	switch {
	case len(a.methods) > maxMethods:
		return errTooManyMethods
	case len(a.tags) > store.MaxTags:
		return &ValueError{Key: "tag", Problem: "a login has more than 8 tags"}
	case len(a.tags) > maxStepTags && (a.step == stepBegin || a.step == stepCompletion):
		return &ValueError{Key: "tag", Problem: "a factor of a login has more than 4 tags"}
	}
	return nil
}

// logsIn returns the user of a login or a completion; empty without one.
func (a *authentication) logsIn() string {
	if a.step == stepLogin || a.step == stepCompletion {
		return a.userID
	}
	return ""
}

// proves reports whether it has a method of at least this level.
func (a *authentication) proves(level int) bool {
	return level <= 0 && a.logsIn() != "" ||
		slices.ContainsFunc(a.methods, func(m store.Method) bool { return m.Level >= level })
}

// began returns when it began, in a request that started then.
func (a *authentication) began(started time.Time) time.Time {
	if a.provedAt.IsZero() {
		return started
	}
	// Times of another clock have no monotonic part, and started needs its own.
	return started.Add(-max(0, started.Sub(a.provedAt)))
}

// change returns its part of a change of the store.
func (a *authentication) change() store.Change {
	c := store.Change{UserID: a.logsIn(), LoginID: a.loginID, Methods: a.methods, Tags: a.tags}
	switch a.step {
	case stepBegin:
		c.PendingUserID = a.userID
	case stepCompletion:
		c.Completes = true
	case stepUp:
		c.StepUp = true
	}
	return c
}
