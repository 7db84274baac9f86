// Command pgsession serves a page with sessions of this library.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

var visits = sessionstore.NewKey[int]("visits")

func count(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) error {
	n, _ := visits.Get(s)
	if err := visits.Set(s, n+1); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "visit", n+1)
	return err
}

func main() {
	cfg, err := sessionstore.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := sessionstore.Open(context.Background(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	go sessions.Run(context.Background())
	handler := sessions.Handler(sessionstore.HandlerFunc(count))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", handler))
}
