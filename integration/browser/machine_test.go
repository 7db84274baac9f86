package browser_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/chromedp/chromedp"
)

// machine is a running Chromium with a folder of its own. Tests share it, each
// with cookies and a cache of its own in it.
type machine struct {
	folder string

	mu  sync.Mutex
	ctx context.Context // nil: not started yet
	end func()
}

// newMachine makes one that starts at its first use.
func newMachine(folder string, number int) *machine {
	return &machine{folder: filepath.Join(folder, "machine"+strconv.Itoa(number))}
}

// started returns the context of its browser.
func (m *machine) started() (context.Context, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx != nil {
		return m.ctx, nil
	}
	all, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(chromium),
		chromedp.UserDataDir(m.folder),
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("no-sandbox", os.Geteuid() == 0), // Chromium refuses to run as root with one
		// Every host but the sites of the tests is unreachable.
		chromedp.Flag("host-resolver-rules",
			"MAP *.test:443 "+entrance.address+",MAP * ~NOTFOUND,EXCLUDE 127.0.0.1"),
		chromedp.Flag("ignore-certificate-errors-spki-list", entrance.spki),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-default-apps", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("lang", "en-US"),
		chromedp.Flag("password-store", "basic"),
		chromedp.WindowSize(1200, 900),
	)
	ctx, cancel := chromedp.NewContext(all)
	m.end = func() {
		cancel()
		end()
	}
	// This starts it. It must not have a deadline, which would be the browser's
	// too.
	if err := chromedp.Do(ctx); err != nil {
		m.end()
		return nil, errors.Join(errors.New(chromium+" does not start"), err)
	}
	m.ctx = ctx
	return ctx, nil
}

// stop ends it and waits for that.
func (m *machine) stop() {
	if m.ctx != nil {
		m.end()
	}
}
