package otelsession_test

import (
	"context"
	"log"
	"net/http"

	"github.com/reporadar/pgsession/otelsession"
	"github.com/reporadar/pgsession/sessionstore"
)

// A program that has set the global providers of OpenTelemetry.
func Example() {
	cfg, err := sessionstore.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	cfg.Tracer = otelsession.NewTracer() // spans and durations
	sessions, err := sessionstore.Open(context.Background(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := otelsession.Instrument(sessions); err != nil { // all counters
		log.Fatal(err)
	}
	go sessions.Run(context.Background())
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", sessions.Handler(http.DefaultServeMux)))
}
