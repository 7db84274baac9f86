// Command pgsession_migrates serves a page with sessions of this library, and
// migrates by itself.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/db"
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
	ctx := context.Background()
	cfg, err := sessionstore.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, string(cfg.DatabaseURL))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Up(ctx, pool, db.Options{Schema: cfg.Schema}); err != nil {
		log.Fatal(err)
	}
	sessions, err := sessionstore.New(ctx, pool, cfg)
	if err != nil {
		log.Fatal(err)
	}
	go sessions.Run(ctx)
	handler := sessions.Handler(sessionstore.HandlerFunc(count))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", handler))
}
