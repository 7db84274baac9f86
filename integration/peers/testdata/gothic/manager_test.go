package gothic_test

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"github.com/reporadar/pgsession/sessionstore"
)

var manager = sync.OnceValue(func() *sessionstore.Manager {
	m, err := sessionstore.Open(context.Background(), sessionstore.Config{
		DatabaseURL: sessionstore.Secret(os.Getenv("PEERS_DATABASE_URL")),
		Secrets:     []sessionstore.Secret{"peers-5f1d7a86c2b94e03a7d8e6f0c1b2a394"},
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return m
})
