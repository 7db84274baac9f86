package schema

import (
	"regexp"
	"strings"
	"testing"
)

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

// A name that only begins or ends like a harmless one may run any text.
func TestHarmlessCalls(t *testing.T) {
	harmless := regexp.MustCompile(HarmlessCalls)
	for name := range strings.FieldsSeq(`now timestamptz_pl_interval date_trunc timezone timeofday
		interval_um clock_timestamp statement_timestamp transaction_timestamp to_timestamp
		gen_random_uuid nextval pg_current_xact_id pg_column_size pg_table_size pg_indexes_size
		pg_relation_size pg_total_relation_size pg_stat_get_live_tuples`) {
		if !harmless.MatchString(name) {
			t.Errorf("%s is not harmless", name)
		}
	}
	for name := range strings.FieldsSeq(`query_to_xml table_to_xml database_to_xml cursor_to_xml
		set_config pg_sleep lo_unlink lo_import pg_read_file pg_terminate_backend setval
		unknown nowait nextvalue my_nextval run_clock_timestamp clock_timestamps
		pg_database_size_of pg_column_sizes pg_stat_get_ pg_stat_get_1 pg_stat_reset
		pg_notify txid_current`) {
		if harmless.MatchString(name) {
			t.Errorf("%s is harmless", name)
		}
	}
}
