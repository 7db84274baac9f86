package sessionstore_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"

	"github.com/reporadar/pgsession/sessionstore"
)

// An Observer counts events in place of the log; LogEvents is for both. It runs
// in the background, so the program calls Flush before it reads the counter.
func ExampleObserver() {
	var forged atomic.Int64
	sessions, err := sessionstore.Open(context.Background(), sessionstore.Config{
		Env: sessionstore.Development,
		Observer: func(_ context.Context, e sessionstore.Event) {
			if e.Kind == sessionstore.EventForged {
				forged.Add(1)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	page := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sessionstore.FromContext(r.Context())
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		fmt.Printf("user %q\n", s.UserID())
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "session", Value: "v1.let.me.in"})
	page.ServeHTTP(httptest.NewRecorder(), r)
	if err := sessions.Flush(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("forged cookies:", forged.Load())
	// Output:
	// user ""
	// forged cookies: 1
}

// newAudited returns a Manager whose events go to the log and to audit.
func newAudited(
	ctx context.Context, logger *slog.Logger, audit sessionstore.Observer,
) (*sessionstore.Manager, error) {
	lines := sessionstore.LogEvents(logger)
	observer := func(ctx context.Context, e sessionstore.Event) {
		lines(ctx, e)
		audit(ctx, e)
	}
	return sessionstore.Open(ctx, sessionstore.Config{
		Env: sessionstore.Development, Logger: logger, Observer: observer,
	})
}

// An Observer of the application's own keeps the lines of the log.
func ExampleLogEvents() {
	onlyMessage := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != slog.MessageKey && a.Key != "user_id" {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: onlyMessage,
	}))
	ctx := context.Background()
	sessions, err := newAudited(ctx, logger, func(_ context.Context, e sessionstore.Event) {
		fmt.Printf("audit: %v by %s\n", e.Kind, e.UserID)
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	if _, _, err := sessions.Issue(ctx, "ada"); err != nil {
		log.Fatal(err)
	}
	if err := sessions.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// msg="sessions open in memory"
	// msg="session login" user_id=ada
	// audit: session login by ada
}
