package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"log/slog"
	"net/http"
	"time"
)

//go:embed templates assets
var files embed.FS

var templates = template.Must(template.New("").
	Funcs(template.FuncMap{"asset": assetURL}).
	ParseFS(files, "templates/*.html"))

// contentPolicy allows the style sheet, scripts, icon and forms of this server
// only.
const contentPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; " +
	"style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// render writes a page. It renders into memory first, so that an error in a
// template is a 500.
func render(w http.ResponseWriter, name string, status int, data any) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, data); err != nil {
		slog.Error("page not rendered", "template", name, "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError),
			http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	// no-referrer would make browsers send "Origin: null", which
	// CrossOriginProtection rejects.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w)
}

// assetURL returns the URL of an asset with a hash of its content, so that
// browsers may cache it forever.
func assetURL(name string) (string, error) {
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return "/assets/" + name + "?v=" + hex.EncodeToString(sum[:6]), nil
}

// serveAsset does not load the session, so it costs no query.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// serveIcon serves the path that browsers request without a page.
func serveIcon(w http.ResponseWriter, r *http.Request) {
	r.SetPathValue("name", "icon.svg")
	serveAsset(w, r)
}
