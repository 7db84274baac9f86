package client

import "strings"

// fetchers has parts of the user agents of programs that fetch for a browser or
// an app, with its cookies and another user agent: media players, download
// managers, and the HTTP libraries of apps that share their cookies with a web
// view.
var fetchers = [...]string{
	"AppleCoreMedia",                // audio and video of Safari and of web views
	"CFNetwork", "com.apple.WebKit", // icons, previews and downloads of Apple's systems
	"QuickTime",                     // the same, of older ones
	"stagefright", "AndroidXMedia3", // audio and video of Android
	"ExoPlayer",                        // the same, in apps
	"AndroidDownloadManager", "Dalvik", // downloads of Android
	"okhttp", // apps of Android
	"NSPlayer", "Windows-Media-Player", "WMFSDK",
	"GStreamer", "Lavf", "libmpv", "mpv/", "VLC/", "LibVLC",
	"Google-Read-Aloud",
}

// Fetches reports whether a user agent is that of a program that fetches for a
// browser. Such a user agent does not name the browser of the session.
func Fetches(ua string) bool {
	for _, name := range fetchers {
		if strings.Contains(ua, name) {
			return true
		}
	}
	return false
}
