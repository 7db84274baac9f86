// Command pgx serves a page over Postgres, without sessions.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			var visits int
			if err := pool.QueryRow(r.Context(), "SELECT 1").Scan(&visits); err != nil {
				http.Error(w, "unavailable", http.StatusServiceUnavailable)
				return
			}
			_, _ = fmt.Fprintln(w, "visit", visits)
		})))
}
