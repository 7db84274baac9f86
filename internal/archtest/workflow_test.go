package archtest

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A tag of an action can be moved to another commit; a digest can't.
func TestActionsAreNamedByDigest(t *testing.T) {
	digest := regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v[0-9.]+$`)
	found := 0
	for _, name := range tracked(t, ".github/workflows/*.yml") {
		for _, m := range matches(`uses: (.*)`, read(t, name)) {
			found++
			if !digest.MatchString(m[1]) {
				t.Errorf("%s uses %s: name its commit, and its version in a comment", name, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no workflow uses an action")
	}
}

func TestWorkflowsRunTargetsThatExist(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, name := range tracked(t, ".github/workflows/*.yml") {
		for _, m := range matches(`run: make (.*)`, read(t, name)) {
			for _, target := range strings.Fields(m[1]) {
				if !regexp.MustCompile(`(?m)^` + target + `:`).MatchString(makefile) {
					t.Errorf("%s runs make %s, which the Makefile does not have", name, target)
				}
			}
		}
	}
}

func TestDependabotKnowsEveryModule(t *testing.T) {
	m := regexp.MustCompile(`directories: \[(.*)\]`).FindStringSubmatch(
		read(t, ".github/dependabot.yml"))
	if m == nil {
		t.Fatal("dependabot.yml names no directories")
	}
	var modules []string
	for _, name := range append(tracked(t, "**/go.mod"), "go.mod") {
		modules = append(modules, path.Join("/", path.Dir(name)))
	}
	slices.Sort(modules)
	known := slices.Sorted(slices.Values(strings.Split(m[1], ", ")))
	if !slices.Equal(known, modules) {
		t.Errorf("dependabot.yml knows the modules %v, and there are %v", known, modules)
	}
}
