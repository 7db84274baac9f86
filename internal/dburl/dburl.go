// Package dburl parses a database URL for the library and for migrate, and
// explains what is wrong with it without quoting it.
package dburl

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Format ends errors with the form of a valid URL.
const Format = "write it like postgres://user:password@host:5432/database," +
	" with every special character of the password percent-encoded"

// Parse parses a URL, or pairs of key and value, into the configuration of a
// pool. Its error names the parameter and the file that is wrong. It quotes no
// other part of the URL, because any part may belong to the password.
func Parse(databaseURL string) (*pgxpool.Config, error) {
	switch {
	case strings.IndexFunc(databaseURL, unicode.IsControl) >= 0:
		return nil, errors.New("line break or another control character: remove it")
	case ambiguous(databaseURL):
		return nil, errors.New("ambiguous end of the password: " + Format)
	case strings.Contains(databaseURL, "://") && !strings.HasPrefix(databaseURL, "postgres://") &&
		!strings.HasPrefix(databaseURL, "postgresql://") &&
		!strings.Contains(databaseURL, "="):
		return nil, errors.New("must begin with postgres:// or postgresql://: " + Format)
	}
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, errors.New(problem(databaseURL, err))
	}
	for name := range cfg.ConnConfig.RuntimeParams {
		if !settingName.MatchString(name) {
			return nil, errors.New(
				"invalid name of a setting: remove quotes and spaces around the URL: " + Format)
		}
	}
	return cfg, nil
}

// settingName matches names of settings. Anything else may be a whole URL that
// was parsed as key and value, and Postgres would quote it in its error.
var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// ambiguous reports whether a special character may have ended the password too
// early. The rest of it would be taken for a host or a setting, and appear in
// the error about that host.
func ambiguous(databaseURL string) bool {
	_, rest, isURL := strings.Cut(databaseURL, "://")
	if !isURL {
		return false
	}
	address, settings, _ := strings.Cut(rest, "?")
	server, _, _ := strings.Cut(address, "/")
	ats := strings.Count(address, "@")
	if ats > 1 || ats != strings.Count(server, "@") || ats == 0 && strings.Contains(settings, "@") {
		return true
	}
	for setting := range strings.SplitSeq(settings, "&") {
		if key, _, _ := strings.Cut(setting, "="); strings.ContainsAny(key, "@:/?#") {
			return true
		}
	}
	return false
}

// values are what each parameter accepts.
var values = map[string]string{
	"port":            "a number from 1 to 65535",
	"sslmode":         "disable, allow, prefer, require, verify-ca or verify-full",
	"sslcertmode":     "disable, allow or require",
	"sslnegotiation":  "postgres or direct",
	"channel_binding": "disable, prefer or require",
	"require_auth":    "names of methods with commas between, such as scram-sha-256",
	"connect_timeout": "a number of seconds",
	"target_session_attrs": "any, read-write, read-only, primary, standby " +
		"or prefer-standby",
	"min_protocol_version": "3.0 or 3.2, and no more than max_protocol_version",
	"max_protocol_version": "3.0, 3.2 or latest",
	"default_query_exec_mode": "cache_statement, cache_describe, describe_exec, exec " +
		"or simple_protocol",
	"statement_cache_capacity":      "a number",
	"description_cache_capacity":    "a number",
	"pool_max_conns":                "a number of at least 1",
	"pool_min_conns":                "a number",
	"pool_min_idle_conns":           "a number",
	"pool_max_conn_lifetime":        "a duration, such as 1h",
	"pool_max_conn_idle_time":       "a duration, such as 30m",
	"pool_health_check_period":      "a duration, such as 1m",
	"pool_max_conn_lifetime_jitter": "a duration, such as 5m",
	"pool_ping_timeout":             "a duration, such as 1s",
}

// files maps errors of pgx to the parameter that names a file.
var files = []struct{ text, parameter, problem string }{
	{"unable to read CA file", "sslrootcert", "can't be read"},
	{"unable to add CA to cert pool", "sslrootcert", "holds no certificate"},
	{"unable to read sslkey", "sslkey", "can't be read"},
	{"failed to decode sslkey", "sslkey", "holds no key in PEM"},
	{"unable to find sslpassword", "sslkey", "is encrypted, and sslpassword is not set"},
	{"unable to decrypt key", "sslkey", "can't be decrypted with sslpassword"},
	{"unable to read cert", "sslcert", "can't be read"},
	{"unable to load cert", "sslcert", "does not fit sslkey"},
	{"failed to read service file", "servicefile", "can't be read"},
	{"unable to find service", "servicefile", "does not name this service"},
}

var word = regexp.MustCompile(`[a-z]+(_[a-z]+)*`)

// problem rewords an error of pgx, which quotes the URL.
func problem(databaseURL string, err error) string {
	_, text, _ := strings.Cut(err.Error(), "`: ")
	for _, f := range files {
		if strings.Contains(text, f.text) {
			return fmt.Sprintf("%s%s %s%s", f.parameter, fileOf(databaseURL, f.parameter, err),
				f.problem, reason(err))
		}
	}
	switch {
	case strings.HasPrefix(text, "failed to parse as URL"):
		return "not a Postgres URL: " + Format
	case strings.HasPrefix(text, "failed to parse as keyword/value"):
		return "neither a Postgres URL nor pairs of key and value: " + Format
	case strings.HasPrefix(text, "could not match"):
		return "numbers of ports and hosts differ: give one port, or one for each host"
	case strings.Contains(text, `both "sslcert" and "sslkey" are required`):
		return "only one of sslcert and sslkey: give both or none"
	}
	for _, name := range word.FindAllString(text, -1) {
		if takes, ok := values[name]; ok {
			return fmt.Sprintf("parameter %s must be %s", name, takes)
		}
	}
	return "invalid URL: " + Format
}

// fileOf returns the path of a parameter's file, if it is known. It may come
// from an environment variable of libpq.
func fileOf(databaseURL, parameter string, err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return ": file " + path.Path
	}
	_, rest, found := strings.Cut(databaseURL, parameter+"=")
	if !found {
		return ": its file"
	}
	end := strings.IndexAny(rest, "& ")
	if end < 0 {
		end = len(rest)
	}
	return ": file " + rest[:end]
}

// reason returns the error of the operating system.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return ": " + path.Err.Error()
	}
	return ""
}
