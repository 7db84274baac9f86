package sessionstore

import (
	"strings"

	"github.com/mileusna/useragent"

	"github.com/reporadar/pgsession/internal/client"
)

// DeviceKind is what sort of thing a user agent says it is.
type DeviceKind string

// The kinds of devices. The zero value is unknown.
const (
	Desktop DeviceKind = "desktop"
	Phone   DeviceKind = "phone"
	Tablet  DeviceKind = "tablet"
	Bot     DeviceKind = "bot"
)

// Device is what a user recognizes a session by, read from its user agent.
// Nothing in it is proof of anything: the browser says what it likes. Its
// strings come from there, are valid UTF-8 without control characters, and must
// be escaped like any other input when a page shows them.
type Device struct {
	// Browser is the family, such as "Firefox", without a version; empty when
	// it is unknown.
	Browser string
	// System is the operating system, such as "Windows" or "iOS"; empty when it
	// is unknown.
	System string
	Kind   DeviceKind
}

// String is a name for the device: "Firefox on Windows", or "Unknown device".
func (d Device) String() string {
	switch {
	case d.Browser != "" && d.System != "":
		return d.Browser + " on " + d.System
	case d.Browser != "":
		return d.Browser
	case d.System != "":
		return d.System
	}
	return "Unknown device"
}

// Device describes the program that used the session last. It parses the user
// agent at each call.
func (i Info) Device() Device { return DeviceOf(Client{UserAgent: i.UserAgent}) }

// DeviceOf describes a client. It parses the user agent at each call.
func DeviceOf(c Client) Device {
	const longest = 40 // an unknown program is called what it calls itself
	ua := useragent.Parse(client.CleanUserAgent(c.UserAgent))
	d := Device{Browser: client.Cut(strings.TrimSpace(ua.Name), longest), System: ua.OS}
	switch {
	case ua.Bot:
		d.Kind = Bot
	case ua.Tablet:
		d.Kind = Tablet
	case ua.Mobile:
		d.Kind = Phone
	case ua.Desktop:
		d.Kind = Desktop
	}
	return d
}
