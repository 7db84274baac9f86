package schema

import (
	"runtime/debug"
	"testing"
)

func TestReleaseOfTheProgram(t *testing.T) {
	local := &debug.Module{Path: "../pgsession"}
	const stamped = "v0.1.1-0.20261201000000-0123456789ab+dirty"
	for name, c := range map[string]struct {
		module debug.Module
		want   string
	}{
		"a release":     {debug.Module{Path: module, Version: "v0.1.0"}, "v0.1.0"},
		"a checkout":    {debug.Module{Path: module, Version: "(devel)"}, "latest"},
		"a stamp":       {debug.Module{Path: module, Version: stamped}, "latest"},
		"a replacement": {debug.Module{Path: module, Version: "v0.1.0", Replace: local}, "latest"},
		"another":       {debug.Module{Path: module + "/otelsession", Version: "v0.1.0"}, "latest"},
	} {
		if got := releaseIn(&debug.BuildInfo{Deps: []*debug.Module{&c.module}}); got != c.want {
			t.Errorf("%s as a dependency: %s, want %s", name, got, c.want)
		}
		if got := releaseIn(&debug.BuildInfo{Main: c.module}); got != c.want {
			t.Errorf("%s as the program: %s, want %s", name, got, c.want)
		}
	}
	if got := releaseIn(nil); got != "latest" {
		t.Errorf("without information: %s", got)
	}
}
