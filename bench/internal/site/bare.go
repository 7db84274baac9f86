package site

import (
	"net/http"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// bare has no sessions, so it is the upper limit. Every user is the first one.
type bare struct{}

func newBare() *bare { return &bare{} }

func (*bare) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}",
		func(w http.ResponseWriter, _ *http.Request) { answer(w, rows.Name(0)) })
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		// As long as a cookie with a session, so that requests take equally
		// long to parse.
		http.SetCookie(w,
			&http.Cookie{Name: "session", Value: rows.Token(0) + rows.Token(1), Path: "/"})
		answer(w, rows.Name(0))
	})
	return mux
}

func (*bare) Close() error { return nil }
