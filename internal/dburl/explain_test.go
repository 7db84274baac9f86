package dburl

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Nothing listens on the ports 1 and 2.
func TestAServerIsNamedOnce(t *testing.T) {
	for url, want := range map[string][]string{
		"postgres://me@127.0.0.1:1/shop":                 {"127.0.0.1:1"},
		"postgres://me@127.0.0.1:1/shop?sslmode=disable": {"127.0.0.1:1"},
		"postgres://me@127.0.0.1:1,127.0.0.1:2/shop":     {"127.0.0.1:1", "127.0.0.1:2"},
		"postgres://me@/shop?host=/nowhere":              {"/nowhere/.s.PGSQL.5432"},
	} {
		_, err := pgconn.Connect(t.Context(), url)
		text := Explain(fmt.Errorf("shop: %w: look at the log", err))
		for _, server := range want {
			if strings.Count(text, server) != 1 {
				t.Errorf("%s: not once: %s", server, text)
			}
		}
		if strings.Contains(text, "\n") || !strings.HasPrefix(text, "shop: failed to connect") ||
			!strings.HasSuffix(text, ": look at the log") {
			t.Errorf("%s: %s", url, text)
		}
	}
	if text := Explain(errors.New("another\nerror")); text != "another\nerror" {
		t.Errorf("another error: %s", text)
	}
}
