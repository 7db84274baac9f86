package sessionstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
)

func TestKeysAndClear(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	var kept *sessionstore.Session
	_, cookie := site.visit("", func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		kept = s
		expect(t, "keys of a visitor", len(s.Keys()), 0)
		site.check(s.Login(r.Context(), "ada"), s.Set("b", 1), s.Set("a", 1), s.Set("c", 1),
			s.Delete("c"))
		expect(t, "keys that are pending", fmt.Sprint(s.Keys()), "[a b]")
	})
	expect(t, "keys after the request", len(kept.Keys()), 0)
	expect(t, "Clear after it", errors.Is(kept.Clear(), sessionstore.ErrRequestEnded), true)

	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Set("c", 1), s.Delete("a"))
		expect(t, "keys stored and pending", fmt.Sprint(s.Keys()), "[b c]")
		site.visit(cookie, func(_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			site.check(s.Set("elsewhere", 1))
		})
		site.check(s.Clear())
		expect(t, "keys after Clear", len(s.Keys()), 0)
		expect(t, "has", s.Has("b") || s.Has("c"), false)
		site.check(s.Set("d", 1), s.Save(r.Context()))
		expect(t, "keys after Clear and Save", fmt.Sprint(s.Keys()), "[d elsewhere]")
	})
	expect(t, "in the end", site.look(cookie, "a", "b", "c", "d", "elsewhere"),
		"user=ada d elsewhere")

	site.visit("", func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
		w.WriteHeader(http.StatusOK)
		expect(t, "Clear too late", errors.Is(s.Clear(), sessionstore.ErrHeadersSent), true)
	})
}

func TestValues(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	_, cookie := site.visit("", func(
		_ http.ResponseWriter, _ *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("count", 1_000_000), s.Set("big", json.RawMessage("9007199254740993")),
			s.Set("price", 1.5), s.Set("name", "<ada>"), s.Set("flash", "Saved."),
			s.Set("cart", []any{map[string]any{"n": 3}}), s.Set("none", nil),
			s.Set("huge", json.RawMessage("100000000000000000000")))
	})
	page := template.Must(template.New("").Parse(
		`{{.count}} {{.big}} {{.price}} {{.name}} {{(index .cart 0).n}} {{.huge}}{{if .none}} null{{end}}` +
			`{{if gt .count 5}} many{{end}}{{with .flash}} {{.}}{{end}}`))
	for _, want := range []string{" Saved.", ""} {
		site.visit(cookie, func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
			site.check(s.Set("pending", true))
			values, err := s.Values("flash", "nothing")
			site.check(err)
			expect(t, "a pending value", values["pending"], any(true))
			var text strings.Builder
			site.check(page.Execute(&text, values))
			expect(t, "page", text.String(),
				"1000000 9007199254740993 1.5 &lt;ada&gt; 3 1e&#43;20 many"+want)
			values["count"] = 0
			n, err := sessionstore.NewKey[int]("count").Get(s)
			expect(t, "the session's own", n, 1_000_000)
			site.check(err)
		})
	}
	expect(t, "left", site.look(cookie, "flash", "count"), "user= count")
}

// A message that can't be removed any more is an error, and not shown twice.
func TestValuesTooLate(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	var kept *sessionstore.Session
	site.visit("", func(w http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		kept = s
		site.check(s.Set("flash", 1), s.Save(r.Context()), s.Logout(r.Context()))
		w.WriteHeader(http.StatusOK)
		values, err := s.Values("flash")
		expect(t, "values after a logout", len(values), 0)
		site.check(err)
	})
	_, err := kept.Values()
	expect(t, "after the request", errors.Is(err, sessionstore.ErrRequestEnded), true)
}
