package schema

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Default is the name of the schema in the text of migrations and queries.
const Default = "pgsession"

// plainName matches a name that needs no quotes in SQL, psql and a pg_cron job.
// The names of its roles still fit Postgres's 63 bytes.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// reserved has the key words of Postgres 15 to 18 that can't name a schema
// without quotes, and the schemas that belong to Postgres.
var reserved = strings.Fields(`
	all analyse analyze and any array as asc asymmetric authorization
	binary both case cast check collate collation column concurrently constraint create cross
	current_catalog current_date current_role current_schema current_time current_timestamp current_user
	default deferrable desc distinct do else end except false fetch for foreign freeze from full
	grant group having ilike in initially inner intersect into is isnull join
	lateral leading left like limit localtime localtimestamp natural not notnull null
	offset on only or order outer overlaps placing primary references returning right
	select session_user similar some symmetric system_user table tablesample then to trailing true
	union unique user using variadic verbose when where window with

	public information_schema
`)

// CheckName returns an error for a name that the library's schema can't have. A
// name that passes needs no quotes, so it is safe to write into SQL.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("schema name is empty: set one, such as " + Default)
	case !plainName.MatchString(name):
		return fmt.Errorf("schema name %q is invalid: use at most 48 lower-case letters,"+
			" digits and underscores, and no digit first", name)
	case strings.HasPrefix(name, "pg_"), slices.Contains(reserved, name):
		return fmt.Errorf("schema name %q is reserved: choose another", name)
	}
	return nil
}

// defaultInSQL matches Default where SQL names the schema: before a dot, or
// after the word SCHEMA. It does not match the project's name in a comment.
var defaultInSQL = regexp.MustCompile(`\bSCHEMA ` + Default + `\b|\b` + Default + `\.`)

// Rename returns the SQL of this module with another schema in place of
// Default. The name must have passed CheckName. It does not parse SQL.
func Rename(sql, name string) string {
	if name == Default {
		return sql
	}
	return defaultInSQL.ReplaceAllStringFunc(sql, func(found string) string {
		return strings.Replace(found, Default, name, 1)
	})
}

// begunByDefault matches the begin of a name such as that of a role, and not
// the address of the project.
var begunByDefault = regexp.MustCompile(`(^|[^/\w])` + Default)

// RenameAll is [Rename] for SQL with names outside the schema. Each name that
// begins with Default begins with the other name in the result.
func RenameAll(sql, name string) string {
	return begunByDefault.ReplaceAllString(sql, "${1}"+name)
}
