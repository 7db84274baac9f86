package sessionstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/cookie"
	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// tokenCanaries are the printed forms of a token that consists of Z.
var tokenCanaries = []string{
	"ZZZ", "zzz", "5a5a", "5A5A", "5a 5a", "5A 5A", "0x5a", "90 90", "90,90", "132 132", "1011010",
	"U+005A", "Wlpa",
}

type brokenRandom struct{ good int }

func (r *brokenRandom) Read(p []byte) (int, error) {
	n := min(len(p), r.good)
	r.good -= n
	if n == 0 {
		return 0, errors.New("the random source is broken")
	}
	return n, nil
}

// onlyZ is a random source that returns Z.
type onlyZ struct{}

func (onlyZ) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'Z'
	}
	return len(p), nil
}

// A broken random source ends the process before a predictable token is sent.
// The test runs itself as that process.
func TestTokenNeedsRandomness(t *testing.T) {
	const variable = "PGSESSION_TEST_BROKEN_RANDOM"
	if good, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		site := newSite(t)
		fmt.Println("victim: ready")
		rand.Reader = &brokenRandom{good}
		resp, _ := site.visit("", func(
			_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
		) {
			fmt.Println("victim: logged in,", s.Login(r.Context(), "ann"))
		})
		fmt.Println("victim: answered with", resp.Header)
		return
	}
	for what, good := range map[string]int{
		"broken from the start": 0, "broken after the login's id": 16, "broken halfway": 32,
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTokenNeedsRandomness$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, good),
			"GOCOVERDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		reached := "victim: logged in, <nil>"
		if good == 0 {
			reached = "victim: ready"
		}
		if !strings.Contains(string(out), reached) {
			t.Fatalf("%s: the victim did not come to the point: %s", what, out)
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !bytes.Contains(out, []byte("crypto/rand")) ||
			bytes.Contains(out, []byte("victim: answered")) ||
			bytes.Contains(out, []byte("__Host-session")) {
			t.Errorf("%s: the process went on: %v, %s", what, err, out)
		}
	}
}

func TestTokenIsNeverShown(t *testing.T) {
	zs := token32("Z")
	for what, text := range renderings(zs) {
		for _, h := range tokenCanaries {
			if strings.Contains(text, h) {
				t.Errorf("%s shows %q: %s", what, h, text)
			}
		}
	}
	if got := fmt.Sprintf(
		"%v %s %x %#v %d", zs, zs, zs, &zs, []any{zs},
	); got != "[redacted] [redacted] [redacted] [redacted] [[redacted]]" {
		t.Error(got)
	}
}

func token32(s string) (t cookie.Token) {
	copy(t.Secret[:], strings.Repeat(s, 32))
	return t
}

func TestIDIsShownAsItsHandle(t *testing.T) {
	zs := store.ID(token32("Z").Secret)
	for what, text := range renderings(zs) {
		for _, h := range tokenCanaries {
			if strings.Contains(text, h) {
				t.Errorf("%s shows %q: %s", what, h, text)
			}
		}
	}
	handle := string(zs.Handle())
	if got := fmt.Sprintf(
		"%v %s %x %#v", zs, zs, &zs, []store.ID{zs},
	); got != handle+" "+handle+" "+handle+" []store.ID{"+handle+"}" {
		t.Error(got)
	}
}

// The database, logs and a list of devices show nothing that works as a cookie.
func TestHandleAndIDAreNoCookies(t *testing.T) {
	site := newSite(t)
	var rec store.Record
	_, value := site.visit("", func(
		_ http.ResponseWriter, r *http.Request, s *sessionstore.Session,
	) {
		site.check(s.Login(r.Context(), "ann"), s.Save(r.Context()))
		rec, _ = s.Record()
	})
	user := func(cookie string) (name string) {
		site.as(cookie, func(_ context.Context, s *sessionstore.Session) { name = s.UserID() })
		return name
	}
	if user(value) != "ann" {
		t.Fatal("the cookie itself opens nothing")
	}
	parts := strings.Split(value, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	for what, guess := range map[string]string{
		"the handle":       string(rec.ID.Handle()),
		"the id in hex":    hex.EncodeToString(rec.ID[:]),
		"the id in base64": b64(rec.ID[:]),
		"the id as the payload": parts[0] + "." + parts[1] + "." +
			b64(append(rec.ID[:], make([]byte, 9)...)) + "." + parts[3],
		"the token alone":        parts[2],
		"the token without MAC":  parts[0] + "." + parts[1] + "." + parts[2] + ".",
		"the id, signed by us":   site.m.Sign(cookie.Ticket{Token: cookie.Token{Secret: rec.ID}}),
		"a token, signed by us":  site.m.Sign(cookie.Ticket{Token: cookie.NewToken()}),
		"the handle with a dot.": "v1." + string(rec.ID.Handle()),
	} {
		if user(guess) != "" {
			t.Errorf("%s opens the session", what)
		}
	}
	expect(t, "sessions", site.store.rows(), 1)
	expect(t, "created", site.m.Count(sessionstore.EventCreated), 0)
	for _, kind := range []sessionstore.EventKind{
		sessionstore.EventForged, sessionstore.EventSessionNotFound,
	} {
		if site.m.Count(kind) == 0 {
			t.Errorf("no event %q", kind)
		}
	}
}
