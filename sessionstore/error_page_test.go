package sessionstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

// The page of the errors has the status with which ServeError answers each.
// That it has a row for each is a test of internal/archtest.
func TestTheErrorPageHasTheStatusOfServeError(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	page, _, _ := strings.Cut(string(text), "## Of other packages")
	for name, err := range map[string]error{
		"ErrUnavailable": sessionstore.ErrUnavailable,
		"ErrOutcomeUnknown": fmt.Errorf("%w (%w)", // as the library returns it
			sessionstore.ErrUnavailable, sessionstore.ErrOutcomeUnknown),
		"ErrEventCursor":     sessionstore.ErrEventCursor,
		"ErrNotFound":        sessionstore.ErrNotFound,
		"ErrTooManySessions": sessionstore.ErrTooManySessions,
		"ErrRevoked":         sessionstore.ErrRevoked,
		"ErrNoPendingLogin":  sessionstore.ErrNoPendingLogin,
		"ErrNotLoggedIn":     sessionstore.ErrNotLoggedIn,
		"ErrNoMiddleware":    sessionstore.ErrNoMiddleware,
		"ErrRequestEnded":    sessionstore.ErrRequestEnded,
		"ErrHeadersSent":     sessionstore.ErrHeadersSent,
		"ValueError":         &sessionstore.ValueError{},
	} {
		w := httptest.NewRecorder()
		sessionstore.ServeError(w, httptest.NewRequest(http.MethodGet, "/", nil),
			fmt.Errorf("shop: %w", err))
		_, row, found := strings.Cut(page, "| `"+name+"` | ")
		row, _, _ = strings.Cut(row, "\n")
		if cells := strings.Split(row, " | "); !found || len(cells) < 3 ||
			cells[1] != fmt.Sprint(w.Code) {
			t.Errorf("%s is answered with %d, and its row is %q", name, w.Code, row)
		}
	}
	if rows := strings.Count(page, "\n| `"); rows != 13 { // and ConfigError, at the start
		t.Errorf("%d rows, want those above and one more", rows)
	}
}
