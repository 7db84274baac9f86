package sessionstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestErrorsAreDistinct(t *testing.T) {
	all := []error{
		sessionstore.ErrUnavailable, sessionstore.ErrNotFound, store.ErrExists,
		sessionstore.ErrNoMiddleware, sessionstore.ErrRequestEnded, sessionstore.ErrHeadersSent,
	}
	for i, a := range all {
		for j, b := range all {
			if got := errors.Is(fmt.Errorf("sessionstore: save: %w", a), b); got != (i == j) {
				t.Errorf("%v is %v: %v", a, b, got)
			}
		}
	}
}

func TestErrorsNameTheFault(t *testing.T) {
	cause := errors.New("Canary-7355608 is not a number")
	err := error(&sessionstore.ValueError{Key: "a\nb", Problem: "does not decode", Err: cause})
	if got := err.Error(); got != `session value "a\nb": does not decode` {
		t.Error(got)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	var value *sessionstore.ValueError
	if wrapped := fmt.Errorf("cart: %w", err); !errors.As(wrapped, &value) || value.Key != "a\nb" {
		t.Error(wrapped)
	}
	if errors.Unwrap(&sessionstore.ValueError{Key: "k", Problem: "p"}) != nil {
		t.Error("a cause where there is none")
	}
	if got := (&sessionstore.ConfigError{
		Name: "SESSION_SECRET", Problem: "is not set",
	}).Error(); got != "SESSION_SECRET: is not set" {
		t.Error(got)
	}
}

func TestErrorsOfAConfigurationAreOneError(t *testing.T) {
	_, err := sessionstore.NewWithStore(nil,
		sessionstore.Config{IdleTimeout: 1, Limits: sessionstore.LimitConfig{MaxDataSize: -1}})
	lines := strings.Split(err.Error(), "\n\t")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "sessionstore: configuration: Secrets: ") {
		t.Errorf("%q", lines)
	}
	var first *sessionstore.ConfigError
	if !errors.As(fmt.Errorf("start: %w", err), &first) || first.Name != "Secrets" {
		t.Errorf("%v", first)
	}
}
