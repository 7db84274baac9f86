package webapp_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// attributes splits the session's Set-Cookie header of a response: the name,
// and the attributes in alphabetical order.
func attributes(t *testing.T, a answer) (name, value, rest string) {
	t.Helper()
	lines, _ := setBy(a)
	if len(lines) != 1 {
		t.Fatalf("%d Set-Cookie headers, want 1", len(lines))
	}
	parts := strings.Split(lines[0], "; ")
	name, value, _ = strings.Cut(parts[0], "=")
	slices.Sort(parts[1:])
	return name, value, strings.Join(parts[1:], "; ")
}

// setBy returns the Set-Cookie headers of a response, and those of the marker.
func setBy(a answer) (session, marker []string) {
	for _, line := range a.header["Set-Cookie"] {
		if strings.Contains(line, "-set=") {
			marker = append(marker, line)
		} else {
			session = append(session, line)
		}
	}
	return session, marker
}

func TestTheProductionCookieOnTheWire(t *testing.T) {
	t.Parallel()
	a := start(t, production, withSecret, "DATABASE_URL="+application(t))
	v := visit(t, a.url)

	got := v.send("POST /api/login?user=alice")
	name, value, rest := attributes(t, got)
	if name != "__Host-session" || !strings.HasPrefix(value, "v1.") ||
		rest != "HttpOnly; Path=/; SameSite=Strict; Secure" {
		t.Errorf("the cookie %s has %q", name, rest)
	}
	if got.header.Get("Cache-Control") != "no-store" ||
		!strings.Contains(got.header.Get("Vary"), "Cookie") {
		t.Errorf("Cache-Control %q, Vary %q", got.header.Get("Cache-Control"),
			got.header.Get("Vary"))
	}

	const marker = "__Host-session-set=1; Path=/; HttpOnly; Secure; SameSite=Lax"
	if _, lines := setBy(got); len(lines) != 1 || lines[0] != marker {
		t.Errorf("the marker is %q", lines)
	}

	// Requests that change nothing about it don't send it again.
	for _, request := range []string{"GET /api/me", "POST /api/set?k=a&v=b", "GET /"} {
		if again := v.send(request); again.header["Set-Cookie"] != nil {
			t.Errorf("%s sends the cookie again", request)
		}
	}

	// Remembered: it outlives the browser, for the absolute timeout at most.
	if name, _, rest = attributes(t, v.send("POST /login", "name=alice", "password="+password,
		"remember=on")); name != "__Host-session" ||
		rest != "HttpOnly; Max-Age=2592000; Path=/; SameSite=Strict; Secure" {
		t.Errorf("the remembered cookie %s has %q", name, rest)
	}

	// A browser drops a cookie only if the attributes are the same.
	if name, value, rest = attributes(t, v.send("POST /api/logout")); name != "__Host-session" ||
		value != "" ||
		rest != "HttpOnly; Max-Age=0; Path=/; SameSite=Strict; Secure" {
		t.Errorf("the cleared cookie %s has %q", name, rest)
	}
}

func TestTheDevelopmentCookieOnTheWire(t *testing.T) {
	t.Parallel()
	a := start(t, development, "DATABASE_URL="+application(t))
	name, _, rest := attributes(t, visit(t, a.url).send("POST /api/login?user=alice"))
	if name != "session" || rest != "HttpOnly; Path=/; SameSite=Lax" {
		t.Errorf("the cookie %s has %q", name, rest)
	}
}

// The same secret and the same database: only the environment differs.
func TestACookieOfAnotherEnvironment(t *testing.T) {
	t.Parallel()
	shared := []string{withSecret, "DATABASE_URL=" + application(t)}
	live, stage := start(t, append(shared, production)...), start(t, append(shared, staging)...)
	alice := login(t, live.url, "alice")
	bob := login(t, stage.url, "bob")

	alice.at(stage.url).want("GET /api/me", http.StatusUnauthorized, "")
	bob.at(live.url).want("GET /api/me", http.StatusUnauthorized, "")
	alice.want("GET /api/me", http.StatusOK, "alice")
	bob.want("GET /api/me", http.StatusOK, "bob")
	wantSaid(t, stage.log(), "session cookie forged")
}

// A new secret signs, and the old one still verifies, so that a replacement
// logs no user out.
func TestReplacingTheSecret(t *testing.T) {
	t.Parallel()
	databaseURL := "DATABASE_URL=" + application(t)
	const next = "8e02b6d95f3a17c48e02b6d95f3a17c4"
	before := start(t, production, withSecret, databaseURL)
	during := start(t, production, "SESSION_SECRET="+next+","+secret, databaseURL)
	after := start(t, production, "SESSION_SECRET="+next, databaseURL)

	v := login(t, before.url, "alice")
	v.at(after.url).want("GET /api/me", http.StatusUnauthorized, "")
	old := v.cookie
	v.site = during.url
	v.want("GET /api/me", http.StatusOK, "alice")
	if v.cookie != old {
		t.Error(
			"the cookie was signed anew beside a page: a slow response would put a dead token back")
	}
	v.headers = http.Header{
		"Sec-Fetch-Site": {"none"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
	}
	v.want("GET /api/me", http.StatusOK, "alice")
	if v.cookie == old {
		t.Error("the cookie was not signed anew")
	}
	v.site = after.url
	v.want("GET /api/me", http.StatusOK, "alice")
}
