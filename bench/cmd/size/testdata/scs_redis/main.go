// Command scs_redis is scs with a client of go-redis beside it, as an
// application has one for its cache.
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
	"github.com/redis/go-redis/v9"
)

func main() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{options.Addr}})
	sessions := scs.New()
	sessions.Store = pgxstore.New(pool)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", sessions.LoadAndSave(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			n := sessions.GetInt(r.Context(), "visits") + 1
			sessions.Put(r.Context(), "visits", n)
			_, _ = fmt.Fprintln(w, "visit", n, client.Ping(r.Context()).Err())
		}))))
}
