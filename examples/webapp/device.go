package main

import (
	"strings"

	"github.com/reporadar/pgsession/sessionstore"
)

// deviceName is what a list of devices calls the one that a session was last used on.
func deviceName(info sessionstore.Info) string {
	browser, system := firstIn(info.UserAgent, browsers), firstIn(info.UserAgent, systems)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	}
	return "Unknown device"
}

// deviceKind is the name of its icon: "phone" or "computer".
func deviceKind(info sessionstore.Info) string {
	for _, mark := range []string{"Mobile", "Android", "iPhone", "iPad"} {
		if strings.Contains(info.UserAgent, mark) {
			return "phone"
		}
	}
	return "computer"
}

// A user agent names whom it descends from, too. What comes first here is the most telling.
var (
	browsers = [][2]string{
		{"Edg/", "Edge"},
		{"OPR/", "Opera"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
		{"Go-http-client/", "a Go program"},
	}
	systems = [][2]string{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"Windows", "Windows"},
		{"Macintosh", "Mac"},
		{"CrOS", "ChromeOS"},
		{"Linux", "Linux"},
	}
)

func firstIn(text string, names [][2]string) string {
	for _, name := range names {
		if strings.Contains(text, name[0]) {
			return name[1]
		}
	}
	return ""
}
