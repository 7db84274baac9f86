// Command scs serves a page with sessions of scs in Postgres.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/v2"
	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	sessions := scs.New()
	sessions.Store = pgxstore.New(pool)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", sessions.LoadAndSave(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			n := sessions.GetInt(r.Context(), "visits") + 1
			sessions.Put(r.Context(), "visits", n)
			_, _ = fmt.Fprintln(w, "visit", n)
		}))))
}
