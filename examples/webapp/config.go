package main

import (
	"log/slog"
	"os"

	"github.com/reporadar/pgsession/sessionstore"
)

// configure reads the environment. An empty environment means production to the
// library. Here it means a laptop: plain http on the loopback interface.
func configure(log *slog.Logger) (sessionstore.Config, error) {
	if os.Getenv("APP_ENV") == "" && os.Getenv("NODE_ENV") == "" { // NODE_ENV can only be stricter
		if err := os.Setenv("APP_ENV", sessionstore.Development.String()); err != nil {
			return sessionstore.Config{}, err
		}
		log.Warn("development mode: session cookie sent over plain http",
			"advice", "set APP_ENV or NODE_ENV to production behind https")
	}
	cfg, err := sessionstore.ConfigFromEnv()
	if err != nil {
		return sessionstore.Config{}, err
	}
	cfg.Logger = log
	cfg.ErrorHandler = serveError
	return cfg, nil
}
