package sessionstore

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// renderings returns the printed, encoded and logged forms of a value.
func renderings[T comparable](v T) map[string]string {
	out := map[string]string{}
	type box struct {
		Value   T
		Pointer *T
		Any     any
		List    []T
		ByKey   map[T]int `json:"-"`
		ByName  map[string]T
	}
	inside := box{v, &v, v, []T{v, v}, map[T]int{v: 1}, map[string]T{"name": v}}
	things := map[string]any{
		"itself": v, "a pointer": &v, "a struct": inside, "a pointer to a struct": &inside,
		"a slice": []T{v, v}, "an array": [2]T{v, v},
		"a map's values": map[string]T{"name": v}, "a map's keys": map[T]string{v: "name"},
		"a slice of structs": []box{inside}, "an any": []any{v},
	}
	for what, thing := range things {
		for _, verb := range []string{
			"%v", "%+v", "%#v", "%s", "%q", "%+q", "%x", "%X", "% x", "%#x", "%d", "%o", "%b", "%c",
			"%U", "%t", "%e", "%g", "%20v", "%-20s|", "%.3s", "%z", "surplus",
		} {
			out[what+" with "+verb] = fmt.Sprintf(verb, thing)
		}
		out[what+" with Sprint"] = fmt.Sprint(thing)
		var b bytes.Buffer
		handlers := []slog.Handler{slog.NewTextHandler(&b, nil)}
		// encoding/json does not call String or MarshalText for such keys
		asKey := what == "a map's keys" && reflect.TypeFor[T]().Kind() == reflect.String
		if !asKey {
			handlers = append(handlers, slog.NewJSONHandler(&b, nil))
		}
		for _, h := range handlers {
			slog.New(h).With("w", thing).WithGroup("group").Info("text", "value", thing,
				slog.Group("g", "value", thing))
		}
		out[what+" in slog"] = b.String()
		if !asKey {
			encoded, err := json.Marshal(thing)
			out[what+" as JSON"] = fmt.Sprint(string(encoded), err)
		}
		encoded, err := xml.Marshal(thing)
		out[what+" as XML"] = fmt.Sprint(string(encoded), err)
	}
	return out
}

func TestSecretIsNeverShown(t *testing.T) {
	const canary = "Canary-7355608"
	hidden := []string{
		canary, strings.ToLower(canary), fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary),
		fmt.Sprintf("% x", canary), "Q2FuYXJ5", "67 97 110", "U+0043", "0x43", "Can",
	}
	for what, text := range renderings(Secret(canary)) {
		for _, h := range hidden {
			if strings.Contains(text, h) {
				t.Errorf("%s shows %q: %s", what, h, text)
			}
		}
	}
	if got := fmt.Sprintf(
		"%v|%q|%v|%d", Secret(canary), Secret(canary), []Secret{canary}, Secret(""),
	); got != "[redacted]|[redacted]|[[redacted]]|" {
		t.Error(got)
	}
	if string(Secret(canary)) != canary {
		t.Error("a secret must be usable")
	}
}

func TestConfigIsPrintedWithoutSecrets(t *testing.T) {
	const canary = "Canary-7355608"
	cfg := Config{
		DatabaseURL: "postgres://u:" + canary + "@db/x",
		Secrets:     []Secret{canary + canary + canary},
		Cache: CacheConfig{
			RedisURL: "redis://:" + canary + "@r", EncryptionKeys: []Secret{canary},
		},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}.withDefaults()
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("text", "config", cfg, "pointer", &cfg)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		_, _ = fmt.Fprintf(&b, verb+"\n", cfg)
		_, _ = fmt.Fprintf(&b, verb+"\n", &cfg)
	}
	m, err := NewWithStore(NewMemory(store.Expiry{Idle: time.Hour, Absolute: time.Hour}, 0),
		Config{Secrets: cfg.Secrets, DatabaseURL: cfg.DatabaseURL})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(&b, "%v %+v %#v %s %d\n", m, m, m, m, m)
	for _, h := range []string{canary, fmt.Sprintf("%x", canary), "67 97 110", "0x43, 0x61"} {
		if strings.Contains(b.String(), h) {
			t.Errorf("%q is shown: %s", h, b.String())
		}
	}
	if !strings.Contains(b.String(), "[redacted]") || !strings.Contains(b.String(), "10.0.0.0/8") {
		t.Errorf("the configuration is not printed: %s", b.String())
	}
}

// Managers, stores and sessions print no token, id or data.
func TestPrintedStoresAndSessionsHaveNoData(t *testing.T) {
	store := NewMemory(store.Expiry{Idle: time.Hour, Absolute: time.Hour}, 0)
	m, err := NewWithStore(store, Config{Secrets: []Secret{secretA}})
	if err != nil {
		t.Fatal(err)
	}
	m.newToken = func() cookie.Token { return cookie.Token(bytes.Repeat([]byte("Z"), 32)) }
	id := m.newToken().ID()
	var b bytes.Buffer
	serveRequest(m, func(r *http.Request) {
		s, err := FromContext(r.Context())
		if err == nil {
			err = s.Set("password", "Canary-7355608")
		}
		if err == nil {
			err = s.Save(r.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			_, _ = fmt.Fprintf(&b, verb+"\n", []any{s, store, m})
			_, _ = fmt.Fprintf(&b, verb+verb+verb+"\n", s, store, m)
		}
		slog.New(slog.NewJSONHandler(&b, nil)).Info("text", "s", s, "store", store, "m", m)
		encoded, err := json.Marshal([]any{s, store})
		_, _ = fmt.Fprintln(&b, string(encoded), err)
	})
	if !strings.Contains(b.String(), string(id.Handle())) {
		t.Errorf("the session's handle is not printed: %s", b.String())
	}
	raw := fmt.Sprint([32]byte(id))
	for _, h := range append(
		tokenCanaries, "password", "Canary", "67 97 110", fmt.Sprintf("%x", id[:]),
		raw[1:len(raw)-1], string(secretA),
	) {
		if strings.Contains(b.String(), h) {
			t.Errorf("%q is shown: %s", h, b.String())
		}
	}
}

// serveRequest runs fn as the handler of one request with these Cookie headers
// and returns the headers of the response.
func serveRequest(m *Manager, fn func(*http.Request), cookies ...string) http.Header {
	r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	r.Header["Cookie"] = cookies
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fn(r) })).ServeHTTP(w,
		r)
	return w.Header()
}
