package schema

import "testing"

func TestPathIsSafe(t *testing.T) {
	for _, c := range []struct {
		effective, setting string
		want               bool
	}{
		{"pg_catalog,public", `"$user", public`, true},
		{"pg_catalog", "", true},
		{"pg_catalog", `""`, true},
		{"pg_temp_3,pg_catalog,public", `"$user", public`, true},
		{"pg_catalog,pg_temp_3", "pg_catalog, pg_temp", true},
		{"pg_temp_3,pg_catalog", "pg_temp, pg_catalog", true},
		{"pg_catalog,shop,public", `pg_catalog, shop, public`, true},
		{"public,pg_catalog", "public, pg_catalog", false},
		{"pg_temp_3,public,pg_catalog", "public, pg_catalog", false},
		{"pg_catalog", "made_later, pg_catalog", false},
		{"pg_catalog,public", `"$user", "pg_catalog", public`, false},
		{"pg_catalogue,pg_catalog", "pg_catalogue, pg_catalog", false},
		{"", "", false},
	} {
		if got := pathIsSafe(c.effective, c.setting); got != c.want {
			t.Errorf("%q with %q: %v, want %v", c.effective, c.setting, got, c.want)
		}
	}
}
