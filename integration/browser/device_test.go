package browser_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// device is a browser of a user, with one tab. Errors of its pages fail the
// test, and so does a request to any host but its sites.
type device struct {
	t     *testing.T
	sites []*site // the first is its home
	ctx   context.Context

	mu      sync.Mutex
	faults  []string
	expects []string // parts of expected errors
}

// laptop and phone are two Chromiums. Each may request only the sites that it
// was given.
func laptop(t *testing.T, sites ...*site) *device { return newDevice(t, machines[0], sites) }
func phone(t *testing.T, sites ...*site) *device  { return newDevice(t, machines[1], sites) }

func newDevice(t *testing.T, m *machine, sites []*site) *device {
	t.Helper()
	browser, err := m.started()
	if err != nil {
		t.Fatal(err)
	}
	return newTab(t, browser, sites, chromedp.WithNewBrowserContext())
}

// tab opens another tab in the same browser.
func (d *device) tab() *device {
	d.t.Helper()
	return newTab(d.t, d.ctx, d.sites)
}

func newTab(t *testing.T, parent context.Context, sites []*site,
	options ...chromedp.ContextOption,
) *device {
	t.Helper()
	d := &device{t: t, sites: sites}
	var stop func()
	d.ctx, stop = chromedp.NewContext(parent, options...)
	t.Cleanup(stop)
	d.watch()
	t.Cleanup(d.complain)
	return d
}

// home returns the site that it opens first.
func (d *device) home() *site { return d.sites[0] }

// watch records the tab's errors and the hosts that it requests.
func (d *device) watch() {
	d.t.Helper()
	if err := chromedp.Listen(d.ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				d.fault("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError ||
				e.Type == runtime.ConsoleAPICalledTypeWarning ||
				e.Type == runtime.ConsoleAPICalledTypeAssert {
				d.fault("console: %s", e.Type)
			}
		case *runtime.EventExceptionThrown:
			d.fault("exception: %s", e.ExceptionDetails.Text)
		case *network.EventRequestWillBeSent:
			for _, s := range d.sites {
				if strings.HasPrefix(e.Request.URL, s.url("/")) {
					return
				}
			}
			if !strings.HasPrefix(e.Request.URL, "http://127.0.0.1:") {
				d.fault("a request to %s", e.Request.URL)
			}
		}
	}); err != nil {
		d.t.Fatal(err)
	}
	call(d, network.Enable, network.EnableParams{})
}

func (d *device) fault(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

// expect adds an error that the test provokes.
func (d *device) expect(part string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expects = append(d.expects, part)
}

func (d *device) complain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, fault := range d.faults {
		expected := false
		for _, part := range d.expects {
			expected = expected || strings.Contains(fault, part)
		}
		if !expected {
			d.t.Errorf("the browser complains: %s", fault)
		}
	}
}

// do runs actions, within the patience of the tests.
func (d *device) do(actions ...chromedp.Action[chromedp.Void]) {
	d.t.Helper()
	run(d, chromedp.Steps(actions...))
}

// run returns the result of an action, within the patience of the tests.
func run[T any](d *device, action chromedp.Action[T]) T {
	d.t.Helper()
	ctx, stop := context.WithTimeout(d.ctx, testkit.Patience)
	defer stop()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, d.describe())
	}
	return v
}

// call sends a command of the protocol.
func call[P, R any](d *device, command cdp.Command[P, R], params P) R {
	d.t.Helper()
	return run(d, func(ctx context.Context, t *chromedp.Target) (R, error) {
		return cdp.Call(ctx, t, command, params)
	})
}

// describe returns where the tab is, for a failed test.
func (d *device) describe() string {
	ctx, stop := context.WithTimeout(d.ctx, time.Second)
	defer stop()
	text, _ := chromedp.Run(ctx,
		chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	return text
}

// cookies are those that the browser would send to a page.
func (d *device) cookies(url string) []*network.Cookie {
	d.t.Helper()
	return call(d, network.GetCookies, network.GetCookiesParams{URLs: []string{url}}).Cookies
}

// plant puts a cookie into the browser, as an attacker on a neighbouring host
// or on the network can.
func (d *device) plant(c *network.Cookie) {
	d.t.Helper()
	call(d, network.SetCookie, network.SetCookieParams{
		Name: c.Name, Value: c.Value, URL: d.home().url("/"), Path: c.Path, Secure: &c.Secure,
		HTTPOnly: &c.HTTPOnly, SameSite: c.SameSite,
	})
}
