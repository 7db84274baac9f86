package archtest

import "testing"

// A release changes each place that has its version: CONTRIBUTING.md says how.
// TestCodeNamesDocumentsThatExist has the addresses.
func TestVersionsAreThatOfTheChangelog(t *testing.T) {
	const unreleased = "0.0.0-00010101000000-000000000000" // a module without a tag
	newest := matches(`(?m)^## ([0-9.]+)`, read(t, "CHANGELOG.md"))[0][1]
	places := map[string]string{
		"README.md":                         `(?m)^\*\*Status:\*\* ([0-9.]+),`,
		"clients/express/package.json":      `"name": "pgsession-express",\s*"version": "(.*)"`,
		"clients/express/package-lock.json": `"name": "pgsession-express",\s*"version": "(.*)"`,
	}
	for _, name := range tracked(t, "*/go.mod") {
		places[name] = `(?m)^(?:require)?\s*` + module + `(?:/\S+)? v(\S+)`
	}
	found := 0
	for name, pattern := range places {
		for _, m := range matches(pattern, read(t, name)) {
			found++
			if m[1] != newest && m[1] != unreleased {
				t.Errorf("%s has the version %s, and the newest of CHANGELOG.md is %s", name, m[1],
					newest)
			}
		}
	}
	if found < 12 {
		t.Errorf("found only %d versions", found)
	}
}
