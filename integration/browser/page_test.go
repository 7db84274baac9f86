package browser_test

import (
	"context"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/reporadar/pgsession/integration/internal/testkit"
)

// open opens a page of the device's home and waits until it has loaded.
func (d *device) open(path string) {
	d.t.Helper()
	d.do(chromedp.Navigate(d.home().url(path)))
}

// follow clicks on a link or button and waits until the next page has loaded.
// It returns the status of the response.
func (d *device) follow(selector string) int64 {
	d.t.Helper()
	return d.leave(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// leave runs actions that lead to another page, and waits until it has loaded.
func (d *device) leave(actions ...chromedp.Action[chromedp.Void]) int64 {
	d.t.Helper()
	ctx, stop := context.WithTimeout(d.ctx, testkit.Patience)
	defer stop()
	answer, err := chromedp.RunResponse(ctx, actions...)
	if err != nil {
		d.t.Fatalf("%v\n%s", err, d.describe())
	}
	return answer.Status
}

// ask evaluates an expression.
func ask[T any](d *device, expression string) T {
	d.t.Helper()
	return run(d, chromedp.Evaluate[T](expression))
}

// until waits until an expression is true, also across pages.
func (d *device) until(expression string) {
	d.t.Helper()
	ctx, stop := context.WithTimeout(d.ctx, testkit.Patience)
	defer stop()
	for {
		// Between two pages no context answers. The poll goes by the clock,
		// since a tab in the background draws nothing.
		poll := chromedp.Poll[chromedp.Void]("document.readyState === 'complete' && ("+expression+
			")",
			chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(0))
		_, err := chromedp.Run(ctx, poll)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			d.t.Fatalf("it never came to be: %s\n%s", expression, d.describe())
		}
	}
}

// heading returns the page's heading.
func (d *device) heading() string {
	d.t.Helper()
	return ask[string](d, `document.querySelector("h1")?.innerText ?? ""`)
}

func (d *device) wantHeading(want string) {
	d.t.Helper()
	if got := d.heading(); got != want {
		d.t.Errorf("the page is headed %q, want %q", got, want)
	}
}

// text returns the text of the page.
func (d *device) text() string {
	d.t.Helper()
	return ask[string](d, `document.body.innerText`)
}

func (d *device) wantText(part string) {
	d.t.Helper()
	if text := d.text(); !strings.Contains(text, part) {
		d.t.Errorf("the page does not say %q:\n%s", part, text)
	}
}

const password = "sesame-for-everybody"

// login logs in on the page.
func (d *device) login(name string) {
	d.t.Helper()
	d.open("/")
	d.do(chromedp.SendKeys(chromedp.CSS("#name"), name),
		chromedp.SendKeys(chromedp.CSS("#password"), password))
	d.leave(chromedp.KeyEvent(kb.Enter))
	d.wantHeading("Hello, " + name + ".")
}

// live waits until the page has got an event from the server.
func (d *device) live() {
	d.t.Helper()
	d.until(`document.getElementById("live-state")?.textContent === "Live"`)
}
