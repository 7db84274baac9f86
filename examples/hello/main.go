// Command hello is the smallest program with sessions: it counts the visits of
// a browser.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/reporadar/pgsession/sessionstore"
)

var visits = sessionstore.NewKey[int]("visits")

func count(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) error {
	n, _ := visits.Get(s) // a value that no longer decodes starts again at 0
	if err := visits.Set(s, n+1); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "visit", n+1)
	return err
}

func main() {
	cfg, err := sessionstore.ConfigFromEnv() // DATABASE_URL and SESSION_SECRET are all it needs
	if err != nil {
		log.Fatal(err)
	}
	sessions, err := sessionstore.Open(context.Background(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	go sessions.Run(context.Background()) // prunes expired sessions
	log.Print("http://127.0.0.1:8080")
	http.Handle("GET /{$}", sessionstore.HandlerFunc(count)) // favicon.ico is not counted
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", sessions.Handler(http.DefaultServeMux)))
}
