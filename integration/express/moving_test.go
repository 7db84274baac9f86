package express_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/pgtest"
)

var write = flag.Bool("write", false,
	"write a part of docs/design/express.md instead of comparing with it")

// transcript is what a terminal would show, as Markdown, with names in place of
// addresses and of what is random.
type transcript struct {
	t     *testing.T
	text  strings.Builder
	names []string // address, name, …
	// handles are those of sessions, in the order in which they appeared.
	handles []string
}

func (tr *transcript) say(text string) { tr.text.WriteString("\n" + text + "\n") }

// visitor sends requests with the cookies of a file, as curl does.
type visitor struct {
	*browser
	name string
}

// show sends requests and shows them with their answers. Each is a server, a
// method, a path and the wanted status.
func (tr *transcript) show(steps ...string) {
	tr.t.Helper()
	tr.text.WriteString("\n```console\n")
	tr.text.WriteString(tr.normal(strings.Join(steps, "\n")))
	tr.text.WriteString("```\n")
}

// send sends a request and returns what a terminal shows of it.
func (tr *transcript) send(v *visitor, server, method, path string, status int) string {
	tr.t.Helper()
	r, err := http.NewRequest(method, server+path, nil)
	if err != nil {
		tr.t.Fatal(err)
	}
	r.Header.Set("User-Agent", v.agent)
	res, body := v.send(r)
	if res.StatusCode != status {
		tr.t.Errorf("%s %s: %d, want %d: %s", method, path, res.StatusCode, status, body)
	}
	command := fmt.Sprintf("$ curl -i -b %s -c %[1]s -A %s", v.name, v.agent)
	if method != http.MethodGet {
		command += " -X " + method
	}
	lines := []string{command + " '" + server + path + "'", res.Proto + " " + res.Status}
	for _, cookie := range res.Header["Set-Cookie"] {
		lines = append(lines, "Set-Cookie: "+cookie)
	}
	if body = strings.TrimSpace(body); body != "" {
		lines = append(lines, "", body)
	}
	return strings.Join(lines, "\n") + "\n"
}

var random = []struct {
	of *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`s%3A[\w-]+\.[\w%]+`), "s%3AID.SIGNATURE"},
	{regexp.MustCompile(`Expires=[^;]+`), "Expires=TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`"loginId":"[^"]*"`), `"loginId":"UUID"`},
}

func (tr *transcript) normal(text string) string {
	text = strings.NewReplacer(tr.names...).Replace(text)
	for _, r := range random {
		text = r.of.ReplaceAllString(text, r.to)
	}
	for i, handle := range tr.handles {
		text = strings.ReplaceAll(text, handle, fmt.Sprint("HANDLE", i+1))
	}
	return text
}

// end compares the transcript with the part of a document between two comments
// that name the test, or writes it.
func (tr *transcript) end(name string) {
	tr.t.Helper()
	path := filepath.Join("..", "..", filepath.FromSlash(name))
	was, err := os.ReadFile(path)
	if err != nil {
		tr.t.Fatal(err)
	}
	begin, end := "<!-- "+tr.t.Name()+" -->\n", "\n<!-- end of "+tr.t.Name()+" -->\n"
	before, rest, found := strings.Cut(string(was), begin)
	part, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		tr.t.Fatalf("%s has no part of this test", name)
	}
	if *write {
		text := before + begin + tr.text.String() + end + after
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tr.t.Fatal(err)
		}
		return
	}
	if part != tr.text.String() {
		tr.t.Errorf("%s is not what happens now: make it again with -write\n%s", name,
			tr.text.String())
	}
}

// docs/design/express.md shows what this test has seen, from both sides: the
// demo of Go and the Express example, as `make demo/express` runs them.
func TestSlowMovingSeenFromBothSides(t *testing.T) {
	application := pgtest.Demo(t, pgtest.Database(t))
	environment := []string{
		"APP_ENV=development", "DATABASE_URL=" + application, "ADDR=127.0.0.1:0",
		"SESSION_COOKIE_FORMAT=express", "SESSION_COOKIE_NAME=" + cookieName,
		"SESSION_COOKIE_PERSISTENT=true", "LEGACY_SESSION_SECRET=" + secret,
	}
	needNode(t)
	goURL := launch(t, program, nil, environment...)
	nodeURL := launch(t, "node", []string{exampleApp}, environment...)
	tr := &transcript{t: t, names: []string{goURL, "http://go", nodeURL, "http://express"}}
	laptop := &visitor{newBrowser(t, "laptop"), "laptop"}
	phone := &visitor{newBrowser(t, "phone"), "phone"}

	tr.say("A login on Express is one on Go, with the values of the session:")
	tr.show(
		tr.send(laptop, nodeURL, "POST", "/api/login?user=ada", 200),
		tr.send(laptop, goURL, "GET", "/api/me", 200),
		tr.send(laptop, goURL, "POST", "/api/set?k=color&v=blue", 200),
		tr.send(laptop, nodeURL, "GET", "/api/get?k=color", 200),
	)
	tr.say("A login on Go is one on Express, and both are in the list of devices:")
	login := tr.send(phone, goURL, "POST", "/api/login?user=ada", 200)
	me := tr.send(phone, nodeURL, "GET", "/api/me", 200)
	devices := tr.send(laptop, nodeURL, "GET", "/api/devices", 200)
	for _, m := range regexp.MustCompile(`"handle":"([^"]*)"`).FindAllStringSubmatch(devices, -1) {
		tr.handles = append(tr.handles, m[1])
	}
	if len(tr.handles) != 2 {
		t.Fatalf("%d devices", len(tr.handles))
	}
	tr.show(login, me, devices)
	tr.say("Express ends the session that Go has made:")
	tr.show(
		tr.send(laptop, nodeURL, "POST", "/api/revoke?handle="+tr.handles[0], 200),
		tr.send(phone, goURL, "GET", "/api/me", 401),
		tr.send(phone, nodeURL, "GET", "/api/me", 401),
	)
	tr.say("Go ends the session that Express has made:")
	tr.show(
		tr.send(laptop, goURL, "POST", "/api/logout", 200),
		tr.send(laptop, nodeURL, "GET", "/api/me", 401),
	)
	tr.end("docs/design/express.md")
}
