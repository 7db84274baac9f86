package tasks

import (
	"context"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/sessiontest"
)

// site is an application of the ten tasks.
type site struct {
	handler http.Handler
	fail    func() // makes its store fail
}

// failing is a store of scs that can fail.
type failing struct {
	*memstore.MemStore
	broken bool
}

func (f *failing) Find(token string) ([]byte, bool, error) {
	if f.broken {
		return nil, false, errors.New("the store is broken")
	}
	return f.MemStore.Find(token)
}

func sites(t *testing.T) map[string]*site {
	sessions := sessiontest.New(t, func(c *sessionstore.Config) {
		c.Env, c.ErrorHandler = sessionstore.Production, showFailure
	})
	store := &failing{MemStore: memstore.NewWithCleanupInterval(0)}
	return map[string]*site{
		"pgsession": {pgsessionRouter(sessions.Manager), func() { sessions.Faults.Down() }},
		"scs":       {scsRouter(newSCS(store)), func() { store.broken = true }},
	}
}

// browser is a browser of a site.
type browser struct {
	t      *testing.T
	client *http.Client
	url    string
}

func (b *browser) do(method, path string, form url.Values) string {
	b.t.Helper()
	r, _ := http.NewRequest(method, b.url+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", string(body)))
}

// lasts reports whether a cookie outlives the browser.
func lasts(resp *http.Response) bool {
	return slices.ContainsFunc(resp.Cookies(), func(c *http.Cookie) bool {
		return c.MaxAge > 0 || !c.Expires.IsZero() && c.Expires.After(time.Now())
	})
}

// Both applications do the same.
func TestBothDoTheTasks(t *testing.T) {
	for name, site := range sites(t) {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(site.handler)
			defer server.Close()
			open := func() *browser {
				client := *server.Client()
				client.Jar, _ = cookiejar.New(nil)
				return &browser{t, &client, server.URL}
			}
			ada, phone, eve := open(), open(), open()
			expect := func(got, want string) {
				t.Helper()
				if got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
			expect(ada.do("GET", "/visits", nil), "200 visit 1")
			expect(ada.do("GET", "/visits", nil), "200 visit 2")
			item := url.Values{"item": {"tea"}}
			expect(ada.do("POST", "/cart", item), "200 It is in the cart. tea")
			expect(ada.do("GET", "/cart", nil), "200 tea")
			expect(eve.do("GET", "/account", nil), "405 Method Not Allowed") // of /login
			for user, b := range map[string]*browser{"ada": ada, "eve": eve} {
				expect(b.do("POST", "/login", url.Values{"user": {user}}), "200 account of "+user)
			}
			expect(phone.do("POST", "/login", url.Values{"user": {"ada"}}), "200 account of ada")
			expect(ada.do("GET", "/cart", nil), "200 tea")
			expect(ada.do("POST", "/everywhere", nil), "200")
			expect(ada.do("GET", "/account", nil), "200 account of ada")
			expect(phone.do("GET", "/account", nil), "405 Method Not Allowed")
			expect(eve.do("GET", "/account", nil), "200 account of eve")
			expect(eve.do("POST", "/logout", nil), "404 404 page not found")
			expect(eve.do("GET", "/account", nil), "405 Method Not Allowed")

			for remember, want := range map[string]bool{"on": true, "": false} {
				r := httptest.NewRequest("POST", "https://shop.example/login?user=ada&remember="+
					remember, nil)
				w := httptest.NewRecorder()
				site.handler.ServeHTTP(w, r)
				if got := lasts(w.Result()); got != want {
					t.Errorf("remember=%s: the cookie lasts: %t", remember, got)
				}
			}
			site.fail()
			expect(ada.do("GET", "/visits", nil), "503 Please try again later.")
		})
	}
}

// newPgsession opens the Manager of the first task.
func TestNewPgsession(t *testing.T) {
	sessions, err := newPgsession(context.Background(),
		sessionstore.Config{Env: sessionstore.Development})
	if err != nil {
		t.Fatal(err)
	}
	if err := sessions.Close(); err != nil {
		t.Error(err)
	}
}

var taskComment = regexp.MustCompile(`^// (task \d+: .*)`)

// linesOf counts the lines with code under each comment "task n: …" of files.
func linesOf(t *testing.T, files ...string) (lines map[string]int, total int) {
	lines = map[string]int{}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		file := set.AddFile(name, -1, len(source))
		var s scanner.Scanner
		s.Init(file, source, nil, scanner.ScanComments)
		task, counted := "", map[int]bool{}
		for {
			pos, tok, text := s.Scan()
			if tok == token.EOF {
				break
			}
			if found := taskComment.FindStringSubmatch(text); tok == token.COMMENT && found != nil {
				task = found[1]
			}
			if line := set.Position(pos).Line; tok != token.COMMENT && text != "\n" &&
				task != "" && !counted[line] {
				counted[line] = true
				lines[task]++
				total++
			}
		}
	}
	return lines, total
}

// The library was once 19 lines longer than scs. Imports do not count.
func TestTheTasksTakeFewerLinesThanWithSCS(t *testing.T) {
	ours, our := linesOf(t, "pgsession.go", "pgsession_test.go")
	theirs, their := linesOf(t, "scs.go", "scs_test.go")
	for n := range 10 {
		for task := range ours {
			if strings.HasPrefix(task, fmt.Sprintf("task %d:", n+1)) {
				t.Logf("%-60s pgsession %3d   scs %3d", task, ours[task], theirs[task])
			}
		}
	}
	t.Logf("%-60s pgsession %3d   scs %3d", "all", our, their)
	if len(ours) != 10 || len(theirs) != 10 {
		t.Errorf("%d and %d tasks, want 10", len(ours), len(theirs))
	}
	if our >= their {
		t.Errorf("%d lines, and scs has %d", our, their)
	}
}
