package webapp_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write docs/design/outages.md instead of comparing with it")

// transcript is what a terminal would show, as Markdown, with names in place of
// addresses.
type transcript struct {
	t     *testing.T
	text  strings.Builder
	names []string // number, name, …
}

// say adds a paragraph.
func (tr *transcript) say(text string) { tr.text.WriteString(text + "\n\n") }

// call names a server's address.
func (tr *transcript) call(address, name string) { tr.names = append(tr.names, address, name) }

// block shows commands with what they printed.
func (tr *transcript) block(lines ...string) {
	tr.text.WriteString("```console\n" + tr.normal(strings.TrimSpace(strings.Join(lines, "\n"))) +
		"\n```\n\n")
}

// shown are the headers of a response that a transcript shows.
var shown = []string{"Cache-Control", "Content-Type", "Retry-After", "Set-Cookie"}

// request sends a request as a browser called jar and wants a status. It
// returns the command and the response as a terminal shows them.
func (tr *transcript) request(v *visitor, jar, request string, status int) string {
	tr.t.Helper()
	had := v.cookie
	got := v.send(request)
	if got.status != status {
		tr.t.Errorf("%s %s: %d, want %d", jar, request, got.status, status)
	}
	if got.status >= 500 && v.cookie != had {
		tr.t.Errorf("%s %s: an error changed the cookie", jar, request)
	}
	method, path, _ := strings.Cut(request, " ")
	command := "$ curl -i"
	if jar != "" {
		command += " -b " + jar + " -c " + jar
	}
	if method != "GET" {
		command += " -X " + method
	}
	lines := []string{command + " '" + v.site + path + "'", "HTTP/1.1 " + got.line}
	for _, name := range shown {
		for _, value := range got.header[name] {
			lines = append(lines, name+": "+value)
		}
	}
	if body := strings.TrimSpace(got.body); body != "" {
		lines = append(lines, "", body)
	}
	return strings.Join(lines, "\n") + "\n"
}

// said returns the lines of a log that hold one of the words.
func (tr *transcript) said(a *app, words ...string) string {
	tr.t.Helper()
	var lines []string
	for line := range strings.Lines(a.log()) {
		if slices.ContainsFunc(words, func(word string) bool {
			return strings.Contains(line, word)
		}) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	if len(lines) == 0 {
		tr.t.Errorf("the log says none of %q:\n%s", words, a.log())
	}
	return strings.Join(lines, "\n")
}

var numbers = []struct {
	of *regexp.Regexp
	to string
}{
	{
		regexp.MustCompile(`v1\.[0-9a-f]{8}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`),
		"v1.KEY.TOKEN.SIGNATURE",
	},
	{regexp.MustCompile(`time=\S+`), "time=TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+->127`), "127.0.0.1:PORT->127"},
	{regexp.MustCompile(`session=[A-Za-z0-9_-]+ `), "session=HANDLE "},
	{regexp.MustCompile(`(?:dial tcp|read tcp|write tcp) .*?(: (?:connect|read|write))?: `), "… "},
	{regexp.MustCompile(`failed to connect to .*`), "failed to connect to …"},
}

// normal replaces what is different each time.
func (tr *transcript) normal(text string) string {
	text = strings.NewReplacer(tr.names...).Replace(text)
	for _, n := range numbers {
		text = n.of.ReplaceAllString(text, n.to)
	}
	return text
}

// end compares the transcript with the document, or writes it.
func (tr *transcript) end(name string) {
	tr.t.Helper()
	path := filepath.Join("..", "..", filepath.FromSlash(name))
	text := strings.TrimSpace(tr.text.String()) + "\n"
	if *write {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tr.t.Fatal(err)
		}
		return
	}
	was, err := os.ReadFile(path)
	if err != nil {
		tr.t.Fatal(err)
	}
	if string(was) != text {
		tr.t.Errorf("%s is not what happens now: make it again with -write\n%s", name,
			difference(string(was), text))
	}
}

// difference returns the first place where two texts differ.
func difference(was, is string) string {
	a, b := strings.Split(was, "\n"), strings.Split(is, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d was %q and is %q", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("it had %d lines and has %d", len(a), len(b))
}
