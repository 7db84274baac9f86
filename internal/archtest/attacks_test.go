package archtest

import (
	"regexp"
	"strings"
	"testing"
)

// A row whose test was renamed or deleted promises what no test checks.
func TestAttacksNameTheirTests(t *testing.T) {
	var sources strings.Builder
	for _, name := range tracked(t, "*_test.go") {
		sources.WriteString(read(t, name))
	}
	for _, line := range strings.Split(read(t, "docs/reference/attacks.md"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.HasPrefix(strings.TrimSpace(cells[3]), "---") ||
			strings.TrimSpace(cells[3]) == "test" {
			continue
		}
		tests := regexp.MustCompile(`\b(?:Test|Fuzz)\w+`).FindAllString(cells[3], -1)
		if len(tests) == 0 {
			t.Errorf("attacks.md: no test plays %q", strings.TrimSpace(cells[1]))
		}
		for _, test := range tests {
			if !strings.Contains(cells[3], "`"+test+"`") {
				t.Errorf("attacks.md has %s without backticks", test)
			}
			if !strings.Contains(sources.String(), "func "+test+"(") {
				t.Errorf("attacks.md names %s, which does not exist", test)
			}
		}
	}
}
