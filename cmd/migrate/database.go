package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// connectTimeout is for a URL without connect_timeout: pgx would wait for two minutes.
const connectTimeout = 10 * time.Second

const urlFormat = "it must look like postgres://user:password@host:5432/database," +
	" with every special character of the password percent-encoded"

// poolConfig parses the URL of a database. Its error holds no part of the URL, since any part may be the password's.
func poolConfig(databaseURL string) (*pgxpool.Config, error) {
	if ambiguous(databaseURL) {
		return nil, errors.New("migrate: the database URL is ambiguous: " + urlFormat)
	}
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("migrate: the database URL is no good: %s: %s", problem(err), urlFormat)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 1, 0, 0
	return cfg, nil
}

// ambiguous reports whether a special character in the password may have ended it too early: then the rest of it
// would be taken for a host or a setting, and stand in the error that says that there is no such host.
func ambiguous(databaseURL string) bool {
	_, rest, isURL := strings.Cut(databaseURL, "://")
	if !isURL {
		return false
	}
	address, settings, _ := strings.Cut(rest, "?")
	if strings.Count(address, "@") > 1 {
		return true
	}
	for setting := range strings.SplitSeq(settings, "&") {
		if key, _, _ := strings.Cut(setting, "="); strings.ContainsAny(key, "@:/?#") {
			return true
		}
	}
	return false
}

// problem is what pgx says without what it quotes: the URL in front, and a value or a cause at the end.
func problem(err error) string {
	text := err.Error()
	if strings.Count(text, "`") != 2 {
		return "it can't be parsed"
	}
	_, text, _ = strings.Cut(text, "`: ")
	text, _, _ = strings.Cut(text, " (")
	text, _, _ = strings.Cut(text, ":")
	return text
}
