package site

import (
	"net/http"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// bare has no sessions: the ceiling. Every user is the first one.
type bare struct{}

func newBare() *bare { return &bare{} }

func (*bare) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { answer(w, rows.Name(0)) })
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		// As long as a cookie of a site with sessions, so that requests are equally long to parse.
		http.SetCookie(w, &http.Cookie{Name: "session", Value: rows.Token(0) + rows.Token(1), Path: "/"})
		answer(w, rows.Name(0))
	})
	return mux
}

func (*bare) Close() error { return nil }
