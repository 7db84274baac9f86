package sessionstore

import (
	"strings"

	"github.com/mileusna/useragent"

	"github.com/reporadar/pgsession/internal/client"
)

// DeviceKind is the kind of a device, as its user agent reports it.
type DeviceKind string

// The kinds of devices. The zero value means unknown.
const (
	Desktop DeviceKind = "desktop"
	Phone   DeviceKind = "phone"
	Tablet  DeviceKind = "tablet"
	Bot     DeviceKind = "bot"
)

// Device describes the program that uses a session, so that its user recognizes
// it. It comes from the user agent, which a client can forge. Its strings are
// valid UTF-8 without control characters; a page must escape them like any
// other input.
type Device struct {
	// Browser is the family without a version, such as "Firefox"; empty if it
	// is unknown.
	Browser string
	// System is the operating system, such as "Windows" or "iOS"; empty if it
	// is unknown.
	System string
	// Kind is empty if it is unknown.
	Kind DeviceKind
}

// String returns a name in English: "Firefox on Windows", or "Unknown device".
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

// Device returns the device that used the session last. It parses the user
// agent at each call.
func (i Info) Device() Device { return DeviceOf(Client{UserAgent: i.UserAgent}) }

// DeviceOf returns the device of a client. It parses the user agent at each
// call.
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
