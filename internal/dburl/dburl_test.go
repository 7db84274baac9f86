package dburl_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/dburl"
)

func TestAFaultIsNamed(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "root.pem")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	const url = "postgres://me:sesame@host:5432/shop?"
	for _, test := range []struct{ given, want string }{
		{url + "sslmode=perhaps", "parameter sslmode must be disable, allow"},
		{
			url + "sslmode=verify-full&sslrootcert=" + missing,
			"sslrootcert: file " + missing + " can't be read: no such file",
		},
		{
			url + "sslmode=verify-full&sslrootcert=" + empty,
			"sslrootcert: file " + empty + " holds no certificate",
		},
		{url + "sslmode=require&sslcert=" + empty, "only one of sslcert and sslkey"},
		{
			url + "sslmode=require&sslcert=/x&sslkey=" + missing,
			"sslkey: file " + missing + " can't be read",
		},
		{
			url + "sslmode=require&sslcert=/x&sslkey=" + empty,
			"sslkey: file " + empty + " holds no key",
		},
		{url + "service=none&servicefile=" + missing, "servicefile: file " + missing},
		{url + "target_session_attrs=main", "parameter target_session_attrs must be any"},
		{url + "connect_timeout=soon", "parameter connect_timeout must be a number of seconds"},
		{url + "pool_max_conns=all", "parameter pool_max_conns must be a number of at least 1"},
		{url + "pool_max_conns=0", "parameter pool_max_conns must be a number of at least 1"},
		{
			url + "pool_max_conn_lifetime=long",
			"parameter pool_max_conn_lifetime must be a duration",
		},
		{url + "pool_ping_timeout=x", "parameter pool_ping_timeout must be a duration"},
		{
			url + "default_query_exec_mode=fast",
			"parameter default_query_exec_mode must be cache_statement",
		},
		{url + "statement_cache_capacity=x", "parameter statement_cache_capacity must be a number"},
		{url + "channel_binding=x", "parameter channel_binding must be"},
		{url + "require_auth=x", "parameter require_auth must be"},
		{url + "sslcertmode=x", "parameter sslcertmode must be"},
		{url + "max_protocol_version=9", "parameter max_protocol_version must be"},
		{"postgres://me:sesame@host:port/shop", "parameter port must be a number"},
		{"postgres://me:sesame@a:1,b:2,c:3/shop?port=1,2", "ports"},
		{"mysql://me:sesame@host/shop", "must begin with postgres://"},
		{"postgres://me:sesame@host/shop\n", "line break"},
		{"postgres://me:ses/ame@host/shop", "ambiguous"},
		{"postgres://me:1/2sesame@host/shop", "ambiguous"},
		{"postgres://me:ses?ame@host/shop", "ambiguous"},
		{"postgres://me:ses@ame@host/shop", "ambiguous"},
		{"postgres://me:ses%zzame@host/shop", "not a Postgres URL"},
		{"host=h password='sesame", "neither a Postgres URL nor"},
		{"sesame", "neither a Postgres URL nor"},
		{`"postgres://me:sesame@host/shop?sslmode=disable"`, "remove quotes"},
		{" postgres://me:sesame@host/shop?sslmode=disable", "remove quotes"},
		{"asyncpg+postgres://me:sesame@host/shop?ssl=true", "remove quotes"},
	} {
		_, err := dburl.Parse(test.given)
		if err == nil {
			t.Errorf("%s is accepted", test.given)
			continue
		}
		if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "sesame") ||
			strings.Contains(err.Error(), "ame@") {
			t.Errorf("%s:\n\t%v, test.want %q", test.given, err, test.want)
		}
	}
}

func TestAURLIsTaken(t *testing.T) {
	for _, given := range []string{
		"postgres://host/shop",
		"postgresql://me:p%40ss%2Fword@host:5432/shop?pool_max_conns=5&application_name=x",
		"postgres://a:1,b:2/shop?target_session_attrs=read-write",
		"host=h user=me password=sesame dbname=shop",
		"postgres:///shop?host=/var/run/postgresql", "postgres://me:p#w@host/shop",
		"host=h options='-c x=y://z'",
		"postgres://me:sesame@[::1]:5432/shop",
		"postgres://me@host/shop?options=-c%20search_path%3Dx",
	} {
		if _, err := dburl.Parse(given); err != nil {
			t.Errorf("%s: %v", given, err)
		}
	}
}
