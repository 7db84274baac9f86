package sessionstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestDefault(t *testing.T) {
	t.Cleanup(func() { sessionstore.SetDefault(nil) })
	if m := sessionstore.Default(); m != nil {
		t.Fatalf("Default before SetDefault: %v", m)
	}
	one, two := newSite(t).m, newSite(t).m
	sessionstore.SetDefault(one)
	expect(t, "Default", sessionstore.Default(), one)
	sessionstore.SetDefault(two)
	expect(t, "Default set again", sessionstore.Default(), two)
}

func TestManagerOverAnyStore(t *testing.T) {
	site := newSite(t)
	expect(t, "name of the store", site.m.Store().Name(), "memory")
	expect(t, "Close", site.m.Close(), nil)

	_, err := sessionstore.NewWithStore(site.store, sessionstore.Config{})
	var fault *sessionstore.ConfigError
	if !errors.As(err, &fault) || fault.Name != "Secrets" {
		t.Errorf("NewWithStore without secrets: %v", err)
	}
}

// The Manager and its caller share no slice of the Config.
func TestManagerDoesNotShareItsConfig(t *testing.T) {
	secrets := []sessionstore.Secret{secretOne}
	site := newSite(t, func(cfg *sessionstore.Config) { cfg.Secrets = secrets })
	cookie := site.user("ada")
	secrets[0] = secretTwo
	expect(t, "the session", site.look(cookie), "user=ada")
	expect(t, "the session by another Manager", newSiteOver(t, site.store).look(cookie), "user=ada")
}

// canaries are secrets in all their printed forms, by name.
type canaries map[string][]string

// bytes adds the printed forms of each eight bytes in a row.
func (c canaries) bytes(name string, b []byte) {
	const window = 8
	for i := 0; i+window <= len(b); i++ {
		part := b[i : i+window]
		c[name] = append(c[name],
			string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
			strings.Trim(fmt.Sprint(part), "[]"),
			strings.Join(strings.Fields(strings.Trim(fmt.Sprint(part), "[]")), ","),
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", part), "[]byte{"), "}"))
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 { // at any offset in the encoding
			whole := enc.EncodeToString(b[shift:])
			c[name] = append(c[name], whole[:len(whole)-2])
		}
	}
}

func (c canaries) text(name, s string) {
	b := []byte(s)
	c[name] = append(c[name],
		s, hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		base64.RawStdEncoding.EncodeToString(b)[:len(s)], strings.Trim(fmt.Sprint(b), "[]"))
}

func (c canaries) look(t *testing.T, where, out string) {
	t.Helper()
	for name, forms := range c {
		for _, form := range forms {
			if strings.Contains(out, form) {
				t.Errorf("%s shows the %s: %.200q", where, name, out)
				break
			}
		}
	}
}

// print prints v with every verb, as JSON and in a log.
func (c canaries) print(t *testing.T, what string, v any) {
	t.Helper()
	for _, verb := range []string{
		"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%t", "%T", "%U",
	} {
		c.look(t, what+" as "+verb, fmt.Sprintf(verb, v))
	}
	out, err := json.Marshal(v)
	c.look(t, what+" as JSON", string(out)+fmt.Sprint(err))
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var log bytes.Buffer
		slog.New(handler(&log)).With("with", v).Info("x", "it", v, slog.Group("g", "it", v))
		c.look(t, what+" as "+name, log.String())
	}
}

const canaryValue = "canary-value-7f3a9c"

// secretsOf returns the secrets of a session, from its cookie.
func secretsOf(t *testing.T, cookies ...string) canaries {
	t.Helper()
	c := canaries{}
	c.text("secret", secretOne)
	c.text("value", canaryValue)
	for _, cookie := range cookies {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(cookie, ".")[2])
		if err != nil {
			t.Fatal(err)
		}
		id := sha256.Sum256(payload[:32])
		c.bytes("token", payload[:32])
		c.bytes("id", id[:])
		c.text("cookie", cookie)
	}
	return c
}

func TestCanariesAreFound(t *testing.T) {
	c := canaries{}
	key := sha256.Sum256([]byte("x"))
	c.bytes("key", key[:])
	for _, verb := range []string{"%v", "%d", "%x", "%X", "%s", "%#v"} {
		found := false
		for _, form := range c["key"] {
			found = found || strings.Contains(fmt.Sprintf(verb, key[:]), form)
		}
		expect(t, "found as "+verb, found, true)
	}
	out, _ := json.Marshal(map[string]any{"slice": key[:]})
	found := false
	for _, form := range c["key"] {
		found = found || strings.Contains(string(out), form)
	}
	expect(t, "found as JSON", found, true)
}

func TestNothingPrintsSecrets(t *testing.T) {
	site := newSite(t)
	_, cookie := site.visit("", func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Set("a", canaryValue))
		site.check(s.Login(r.Context(), "ada"))
	})
	c := secretsOf(t, cookie)

	site.visit(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
		site.check(s.Set("b", canaryValue))
		c.print(t, "Session", s)
		c.print(t, "a struct with a Session", struct {
			S *sessionstore.Session
			M map[string]*sessionstore.Session
		}{s, map[string]*sessionstore.Session{"s": s}})
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			c.look(t, "the context as "+verb, fmt.Sprintf(verb, r.Context()))
		}
		rec, _ := s.Record()
		c.print(t, "ID", rec.ID)
		c.print(t, "Touch", store.Touch{ID: rec.ID})
		expect(t, "the session prints", fmt.Sprint(s), "session "+string(rec.ID.Handle()))
		expect(t, "the session logs", s.LogValue().String(), string(rec.ID.Handle()))
		out, err := json.Marshal(s)
		expect(t, "the session encodes", string(out), fmt.Sprintf("%q", string(rec.ID.Handle())))
		site.check(err)
		_, err = s.Get("a", new(int))
		c.print(t, "ValueError", err)
		expect(t, "a value that does not decode is an error", err != nil, true)
	})
	c.print(t, "Manager", site.m)
	expect(t, "the Manager prints", fmt.Sprintf("%+v", site.m), "sessionstore.Manager over memory")

	site.delivered()
	for _, e := range site.events {
		c.print(t, "Event "+e.Kind.String(), e)
	}

	cfg := sessionstore.Config{
		Secrets: []sessionstore.Secret{secretOne, canaryValue}, DatabaseURL: canaryValue,
		Cache: sessionstore.CacheConfig{
			RedisURL: canaryValue, EncryptionKeys: []sessionstore.Secret{canaryValue},
		},
	}
	c.print(t, "Config", cfg)
	c.print(t, "*Config", &cfg)
	c.print(t, "secrets", cfg.Secrets) // a Config holds functions, which have no JSON
	_, err := sessionstore.NewWithStore(site.store, cfg)
	expect(t, "the Config is faulty", err != nil, true)
	c.print(t, "ConfigError", err)
}

// The default log at its most verbose level stays free of secrets, over a
// session's whole life with every failure once.
func TestLogHoldsNoSecrets(t *testing.T) {
	for name, handler := range map[string]func(*syncBuffer, *slog.HandlerOptions) slog.Handler{
		"text": func(b *syncBuffer, o *slog.HandlerOptions) slog.Handler {
			return slog.NewTextHandler(b, o)
		},
		"JSON": func(b *syncBuffer, o *slog.HandlerOptions) slog.Handler {
			return slog.NewJSONHandler(b, o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			site := newSite(t, func(cfg *sessionstore.Config) {
				cfg.Observer = nil
				cfg.Logger = slog.New(handler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			var cookies []string
			step := func(cookie string, p page) string {
				_, cookie = site.visit(cookie, p)
				if cookie != "" {
					cookies = append(cookies, cookie)
				}
				return cookie
			}
			set := func(w http.ResponseWriter, _ *http.Request, s *sessionstore.Session) {
				w.Header().Set("Cache-Control", "public")
				site.check(s.Set("cart", canaryValue))
			}
			cookie := step("", set)
			cookie = step(cookie, site.login("ada"))
			cookie = step(cookie, func(
				w http.ResponseWriter, r *http.Request, s *sessionstore.Session,
			) {
				site.check(s.Rotate(r.Context()))
				w.WriteHeader(http.StatusOK)
				site.check(s.Set("late", canaryValue))
				site.store.Down(store.OpSave)
			})
			site.store.Down(store.OpSave)
			step(cookie, set)
			site.store.Up()
			site.store.on(store.OpSave,
				func(context.Context) error { return sessionstore.ErrNotFound })
			step(cookie, set)
			site.store.Up()
			visit(site.serve(nothing), cookie, step("", set)) // ambiguous
			visit(site.serve(nothing), canaryValue)           // forged
			step(cookie, func(_ http.ResponseWriter, r *http.Request, s *sessionstore.Session) {
				site.check(s.Logout(r.Context()))
			})
			visit(site.serve(nothing), cookie) // unknown
			_, _ = site.m.Prune(t.Context())

			site.delivered()
			out := log.String()
			for _, kind := range []sessionstore.EventKind{
				sessionstore.EventCreated, sessionstore.EventLogin, sessionstore.EventRotated,
				sessionstore.EventChangeLate,
				sessionstore.EventSaveFailed, sessionstore.EventChangeLost,
				sessionstore.EventCookieConflict,
				sessionstore.EventForged, sessionstore.EventLogout,
				sessionstore.EventSessionNotFound, sessionstore.EventUncached,
			} {
				if !strings.Contains(out, kind.String()) {
					t.Errorf("the log has no %q", kind)
				}
			}
			secretsOf(t, cookies[:len(cookies)-1]...).look(t, "the log", out)
		})
	}
}
