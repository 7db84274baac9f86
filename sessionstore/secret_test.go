package sessionstore_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
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
	for what, text := range renderings(sessionstore.Secret(canary)) {
		for _, h := range hidden {
			if strings.Contains(text, h) {
				t.Errorf("%s shows %q: %s", what, h, text)
			}
		}
	}
	secret := sessionstore.Secret(canary)
	if got := fmt.Sprintf("%v|%q|%v|%d", secret, secret, []sessionstore.Secret{secret},
		sessionstore.Secret("")); got != "[redacted]|[redacted]|[[redacted]]|" {
		t.Error(got)
	}
	if string(secret) != canary {
		t.Error("a secret must be usable")
	}
}

func TestConfigIsPrintedWithoutSecrets(t *testing.T) {
	const canary = "Canary-7355608"
	cfg := sessionstore.Config{
		DatabaseURL: "postgres://u:" + canary + "@db/x",
		Secrets:     []sessionstore.Secret{canary + canary + canary},
		Cache: sessionstore.CacheConfig{
			RedisURL: "redis://:" + canary + "@r", EncryptionKeys: []sessionstore.Secret{canary},
		},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	log.Info("text", "config", cfg, "pointer", &cfg)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		_, _ = fmt.Fprintf(&b, verb+"\n", cfg)
		_, _ = fmt.Fprintf(&b, verb+"\n", &cfg)
	}
	m := newSite(t, func(c *sessionstore.Config) {
		c.Secrets, c.DatabaseURL = cfg.Secrets, cfg.DatabaseURL
	}).m
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
	inner := newMemory(weekly)
	site := newSiteOver(t, newSpy(inner))
	id := token32("Z").ID()
	var b bytes.Buffer
	good := rand.Reader
	rand.Reader = onlyZ{}
	defer func() { rand.Reader = good }()
	site.browser("").use(func(s *sessionstore.Session) {
		site.check(s.Set("password", "Canary-7355608"), s.Save(t.Context()))
		rec, _ := s.Record()
		expect(t, "the token is of Z", rec.ID, id)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			_, _ = fmt.Fprintf(&b, verb+"\n", []any{s, inner, site.m})
			_, _ = fmt.Fprintf(&b, verb+verb+verb+"\n", s, inner, site.m)
		}
		slog.New(slog.NewJSONHandler(&b, nil)).Info("text", "s", s, "store", inner, "m", site.m)
		encoded, err := json.Marshal([]any{s, inner})
		_, _ = fmt.Fprintln(&b, string(encoded), err)
	})
	if !strings.Contains(b.String(), string(id.Handle())) {
		t.Errorf("the session's handle is not printed: %s", b.String())
	}
	raw := fmt.Sprint([32]byte(id))
	for _, h := range append(
		tokenCanaries, "password", "Canary", "67 97 110", fmt.Sprintf("%x", id[:]),
		raw[1:len(raw)-1], secretOne,
	) {
		if strings.Contains(b.String(), h) {
			t.Errorf("%q is shown: %s", h, b.String())
		}
	}
}
