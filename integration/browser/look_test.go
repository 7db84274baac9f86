package browser_test

import (
	"context"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// look is a screen and its settings.
type look struct {
	name          string
	width, height int64
	scale         float64
	phone, dark   bool
}

var looks = []look{
	{name: "light", width: 1040, height: 640, scale: 1},
	{name: "dark", width: 1040, height: 640, scale: 1, dark: true},
	{name: "light-phone", width: 390, height: 720, scale: 1.5, phone: true},
	{name: "dark-phone", width: 390, height: 720, scale: 1.5, phone: true, dark: true},
	{name: "narrow", width: 320, height: 568, scale: 1, phone: true}, // the narrowest screen
}

// inspect lists the faults of a page. A text must have WCAG's contrast of 4.5
// to 1, and a button the height of a finger.
const inspect = `((dark, phone) => {
	const faults = [], root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) faults.push("it is wider than the screen by " + (root.scrollWidth - root.clientWidth));
	if (document.querySelectorAll("h1").length !== 1) faults.push("it has not one h1");
	if (!root.lang || !document.title || !document.querySelector("main")) faults.push("it lacks lang, title or main");
	const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
	if (new Set(ids).size !== ids.length) faults.push("an id is there twice");

	const parse = (c) => { const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number); return {rgb: [r, g, b], a}; };
	const luminance = (rgb) => {
		const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (e) => {
		for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a === 1) return c.rgb; }
		return [255, 255, 255];
	};
	const paper = luminance(behind(document.body));
	if (dark ? paper > 0.1 : paper < 0.7) faults.push("its background has the luminance " + paper);

	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (texts.nextNode()) {
		const e = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
		if (!text || e.closest("[hidden], script, :disabled") || !e.getClientRects().length) continue;
		const [x, y] = [luminance(parse(getComputedStyle(e).color).rgb), luminance(behind(e))];
		const contrast = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
		if (contrast < 4.5) faults.push(JSON.stringify(text) + " has a contrast of " + contrast.toFixed(2));
	}
	for (const e of document.querySelectorAll("a, button, input, svg[role=img]")) {
		if (e.closest("[aria-hidden=true], [type=hidden]")) continue;
		const name = e.getAttribute("aria-label") || e.innerText || [...(e.labels ?? [])].map((l) => l.innerText).join("");
		if (!name?.trim()) faults.push("nameless: " + e.outerHTML);
		if (phone && e.matches("button") && e.getBoundingClientRect().height < 44) faults.push("low: " + e.outerHTML);
	}
	for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) faults.push("without alt: " + e.outerHTML);
	return faults;
})`

// lookAt inspects the page in every look and takes pictures of it.
func (d *device) lookAt(page string) {
	d.t.Helper()
	for _, l := range looks {
		d.as(l)
		call := inspect + "(" + jsBool(l.dark) + ", " + jsBool(l.phone) + ")"
		for _, fault := range ask[[]string](d, call) {
			d.t.Errorf("%s, %s: %s", page, l.name, fault)
		}
		if l.name == "narrow" {
			continue // one picture of it is enough
		}
		// As tall as the page, so that all of it is in the picture.
		if tall := ask[int64](d, "document.documentElement.scrollHeight"); tall > l.height {
			l.height = tall
			d.as(l)
		}
		d.picture(page + "-" + l.name)
	}
	d.as(looks[0])
}

// as gives the browser the window and the colour scheme of a look.
func (d *device) as(l look) {
	d.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(l.scale)}
	if l.phone {
		options = append(options, chromedp.EmulateMobile)
	}
	d.do(chromedp.EmulateViewport(l.width, l.height, options...))
	call(d, emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme},
			{Name: "prefers-reduced-motion", Value: "reduce"},
		}})
}

// picture saves a picture of the page.
func (d *device) picture(name string) {
	d.t.Helper()
	folder := os.Getenv("PGSESSION_SCREENSHOTS")
	if folder == "" {
		folder = d.t.ArtifactDir()
	} else if err := os.MkdirAll(folder, 0o755); err != nil {
		d.t.Fatal(err)
	}
	png := run(d, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		return chromedp.CaptureScreenshot()(ctx, t)
	})
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func jsBool(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
