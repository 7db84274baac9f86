package variable

import (
	"slices"
	"strings"
	"testing"
)

func TestUnknownVariables(t *testing.T) {
	for name, nearest := range map[string]string{
		// the name of the field
		"SESSION_IDLE_TIMEOUT":  "SESSION_TIMEOUT",
		"SESSION_DATABASE_URL":  "DATABASE_URL",
		"SESSION_COOKIE_DOMAIN": "COOKIE_DOMAIN",
		"SESSION_DOMAIN":        "COOKIE_DOMAIN",
		"SESSION_REDIS_URL":     "REDIS_URL",
		"SESSION_USE_REDIS":     "USE_REDIS_SESSIONS",
		"SESSION_SECRETS":       "SESSION_SECRET",
		"SESSION_ENV":           "APP_ENV",
		"SESSION_DISABLE_PRUNE": "SESSION_PRUNE_INTERVAL",
		"SESSION_METADATA":      "SESSION_TRACK_METADATA",

		// typing errors
		"SESSION_TIMOUT":           "SESSION_TIMEOUT",
		"SESSION_IDLE_TIMOUT":      "SESSION_TIMEOUT",
		"SESSION_SECERT":           "SESSION_SECRET",
		"SESSION_COOKIE_SAME_SITE": "SESSION_COOKIE_SAMESITE",
		"SESSION_MAX_PER_USERS":    "SESSION_MAX_PER_USER",
		"SESSION_EMERGENCY_GRASE":  "SESSION_EMERGENCY_GRACE",
		"LEGACY_SESSION_UNTILL":    "LEGACY_SESSION_UNTIL",
		"SESSION_LEGACY_SECRET":    "LEGACY_SESSION_SECRET",

		// nothing is near, or two are
		"SESSION_DRIVER": "", "SESSION_DB": "", "SESSION_COOKIE_PATH": "",
		"SESSION_COOKIE": "", "SESSION_STORE_TIMEOUT": "", "SESSION_": "",
	} {
		got := In([]string{"PATH=/bin", name + "=sesame"})
		if want := []Unknown{{name, nearest}}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if advice := got[0].Advice(); !strings.Contains(advice, nearest) {
			t.Errorf("%s: the advice is %q", name, advice)
		}
	}
}

func TestKnownVariables(t *testing.T) {
	environ := []string{
		"SESSION_MANAGER=local/host:@/tmp/.ICE-unix/1", "DESKTOP_SESSION=gnome",
		"TERM_SESSION_ID=1", "SESSION_EMPTY=", "SESSION_BLANK= ", "session_timeout=1h", "=C:=C:",
		"SESSION", "",
		// of a service that is called session-store
		"SESSION_STORE_SERVICE_HOST=10.0.0.1", "SESSION_STORE_SERVICE_PORT=6379",
		"SESSION_STORE_SERVICE_PORT_REDIS=6379", "SESSION_STORE_PORT=tcp://10.0.0.1:6379",
		"SESSION_STORE_PORT_6379_TCP=tcp://10.0.0.1:6379", "SESSION_STORE_PORT_6379_TCP_PROTO=tcp",
	}
	for name := range Fields {
		environ = append(environ, name+"=x")
	}
	if got := In(environ); got != nil {
		t.Errorf("unknown: %v", got)
	}
	if got := In([]string{"SESSION_STORE_PORT=1"}); len(got) != 1 {
		t.Errorf("the port of no service: %v", got)
	}
}
