package webapp_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// visitor is a browser as far as the session cookie is concerned: it keeps the
// cookie and sends it back. It does so over plain http also where a real one
// wants https.
type visitor struct {
	t      testing.TB
	site   string
	cookie string // name=value; empty without one

	headers http.Header // more headers that it sends
}

// answer is a response as it was received.
type answer struct {
	status int
	body   string
	header http.Header
	line   string // "200 OK"
}

var browser = &http.Client{
	Timeout:       testkit.Patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func visit(t testing.TB, site string) *visitor { return &visitor{t: t, site: site} }

// login returns a visitor who has just logged in.
func login(t testing.TB, site, user string) *visitor {
	t.Helper()
	v := visit(t, site)
	v.want("POST /api/login?user="+user, http.StatusOK, "")
	if v.cookie == "" {
		t.Fatal("the login set no cookie")
	}
	return v
}

// password is that of every user whose password does not matter.
const password = "sesame-for-everybody"

// loginWith returns a visitor who has just logged in on the page.
func loginWith(t testing.TB, site, user, password string) *visitor {
	t.Helper()
	v := visit(t, site)
	got := v.send("POST /login", "name="+user, "password="+password)
	if got.status != http.StatusSeeOther {
		t.Fatalf("the login of %s: %d\n%s", user, got.status, got.body)
	}
	return v
}

// at returns the same browser on another address.
func (v *visitor) at(site string) *visitor {
	return &visitor{t: v.t, site: site, cookie: v.cookie, headers: v.headers}
}

// try sends a request such as "GET /api/me", and returns an error of the
// connection. A form becomes the body.
func (v *visitor) try(request string, form ...string) (answer, error) {
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(context.Background(), method, v.site+path,
		strings.NewReader(strings.Join(form, "&")))
	if err != nil {
		return answer{}, err
	}
	maps.Copy(r.Header, v.headers)
	if len(form) > 0 {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.cookie != "" {
		r.Header.Set("Cookie", v.cookie)
	}
	res, err := browser.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{}, err
	}
	for _, c := range res.Cookies() {
		if strings.HasSuffix(c.Name, "-set") {
			continue // the marker
		}
		v.cookie = c.Name + "=" + c.Value
		if c.MaxAge < 0 {
			v.cookie = ""
		}
	}
	return answer{res.StatusCode, string(body), res.Header, res.Status}, nil
}

func (v *visitor) send(request string, form ...string) answer {
	v.t.Helper()
	a, err := v.try(request, form...)
	if err != nil {
		v.t.Fatal(err)
	}
	return a
}

// want sends a request and compares the status, and the body unless it is "".
func (v *visitor) want(request string, status int, body string) answer {
	v.t.Helper()
	a := v.send(request)
	if a.status != status || (body != "" && a.body != body) {
		v.t.Errorf("%s: %d %q, want %d %q", request, a.status, a.body, status, body)
	}
	return a
}
