package otelsession_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
	"github.com/reporadar/pgsession/sessionstore/storetest/fault"
)

// No span and no metric contains anything of a session, in any form.
func TestNothingOfASessionIsReported(t *testing.T) {
	const user, value = "canary-user@example.org", "canary-value"
	const agent, address = "CanaryBrowser/7.0", "203.0.113.77"
	s := newSite(t)
	if _, err := otelsession.Instrument(s.manager, s.options()...); err != nil {
		t.Fatal(err)
	}
	canaries := []string{user, "canary", value, agent, address}
	remember := func(cookie string, sess *sessionstore.Session) {
		if cookie != "" {
			text := strings.Split(cookie, ".")[2]
			token, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			id := store.ID(sha256.Sum256(token[:32])) // what follows are flags
			if id.Handle() != sess.Handle() {
				t.Fatalf("the cookie's session is %s, not %s", id.Handle(), sess.Handle())
			}
			canaries = append(canaries, cookie, text, hex.EncodeToString(id[:]),
				base64.RawURLEncoding.EncodeToString(id[:]), string(id[:]), string(id.Handle()))
		}
	}
	cookie := s.newcomer()
	visit := func(do func(*http.Request, *sessionstore.Session) error) {
		t.Helper()
		now := cookie
		var err error
		if cookie, err = s.visit(cookie, func(r *http.Request, sess *sessionstore.Session) error {
			r.Header.Set("User-Agent", agent)
			r.RemoteAddr = address + ":1234"
			remember(now, sess)
			return do(r, sess)
		}); err != nil {
			t.Fatal(err)
		}
	}
	visit(func(r *http.Request, sess *sessionstore.Session) error {
		return sess.Login(r.Context(), user)
	})
	visit(func(_ *http.Request, sess *sessionstore.Session) error {
		return sess.Set("canary", value)
	})
	visit(func(r *http.Request, sess *sessionstore.Session) error {
		_, err := sess.RevokeOthers(r.Context())
		return err
	})
	quoting := fmt.Errorf("%s: %s", user, cookie)
	for _, err := range []error{unavailable(quoting), quoting} {
		// a store that breaks its contract
		fails := s.store.Inject(fault.Rule{Err: err}, store.OpLoad)
		_, _ = s.visit(cookie, nil)
		fails.Release()
	}
	visit(func(r *http.Request, sess *sessionstore.Session) error {
		return sess.Logout(r.Context())
	})
	if _, err := s.manager.List(t.Context(), user, sessionstore.Page{}); err != nil {
		t.Fatal(err)
	}

	var reported []string
	spans := s.spans.GetSpans()
	for _, span := range spans {
		reported = append(reported,
			fmt.Sprintf("%s %v %v %v %v", span.Name, span.Attributes, span.Status, span.Events,
				span.Links))
	}
	points := s.collect()
	for _, p := range points {
		reported = append(reported,
			fmt.Sprintf("%s %s %v", p.metric.Name, p.metric.Description, p.attributes.ToSlice()))
	}
	if len(spans) < 12 || len(points) < 30 || len(canaries) < 20 {
		t.Fatalf("too little to look at: %d spans, %d points, %d canaries", len(spans), len(points),
			len(canaries))
	}
	for _, line := range reported {
		for _, canary := range canaries {
			if strings.Contains(line, canary) {
				t.Errorf("%q is in %s", canary, line)
			}
		}
	}
}
