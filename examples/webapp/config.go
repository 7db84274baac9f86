package main

import (
	"log/slog"
	"os"

	"github.com/reporadar/pgsession/sessionstore"
)

// configure reads the environment. Unlike the library, which takes silence for production, a demo that is told
// nothing is on somebody's laptop: plain http on loopback.
func configure(log *slog.Logger) (sessionstore.Config, error) {
	if os.Getenv("APP_ENV") == "" && os.Getenv("NODE_ENV") == "" { // NODE_ENV could only make it stricter
		if err := os.Setenv("APP_ENV", sessionstore.Development.String()); err != nil {
			return sessionstore.Config{}, err
		}
		log.Warn("development mode: neither APP_ENV nor NODE_ENV is set, and the session cookie travels over plain http")
	}
	cfg, err := sessionstore.ConfigFromEnv()
	if err != nil {
		return sessionstore.Config{}, err
	}
	cfg.Logger = log
	cfg.ErrorHandler = serveError
	return cfg, nil
}
