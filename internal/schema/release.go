package schema

import (
	"regexp"
	"runtime/debug"
)

const module = "github.com/reporadar/pgsession"

var released = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

// release returns the version of the library that this program was built with,
// for a command line: a newer `migrate` would make a newer schema.
func release() string {
	info, _ := debug.ReadBuildInfo()
	return releaseIn(info)
}

// releaseIn returns "latest" for a program that was built without a release of
// the library, such as one in a checkout.
func releaseIn(info *debug.BuildInfo) string {
	if info == nil {
		return "latest"
	}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path == module && m.Replace == nil && released.MatchString(m.Version) {
			return m.Version
		}
	}
	return "latest"
}
