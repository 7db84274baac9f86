package schema

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Default is the schema that the migrations and the queries are written for.
const Default = "pgsession"

// A name that needs no quotes anywhere: in SQL, in psql, in the name of the version table, in a pg_cron job. With
// "_migrations" after it, it still fits Postgres's 63 bytes.
var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// reserved are the key words of Postgres 14 to 18 that can't name a schema without quotes, and the schemas that
// belong to others.
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

// CheckName tells whether the library's objects may live in a schema of this name. The error says what a name must
// be like. Nothing that passes needs quoting, so it is safe to write into SQL.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("schema name is empty")
	case !plainName.MatchString(name):
		return fmt.Errorf("schema name %q: use at most 48 lower-case letters, digits and underscores, and no digit first", name)
	case strings.HasPrefix(name, "pg_"), slices.Contains(reserved, name):
		return fmt.Errorf("schema name %q is reserved: choose another", name)
	}
	return nil
}

// Default as SQL names it: before a dot, or after the word SCHEMA. Not where a comment mentions the project.
var defaultInSQL = regexp.MustCompile(`\bSCHEMA ` + Default + `\b|\b` + Default + `\.`)

// Rename turns SQL that is written for the schema Default into the same for another one. The name must have passed
// CheckName. It does not parse SQL: it is for this module's own statements.
func Rename(sql, name string) string {
	if name == Default {
		return sql
	}
	return defaultInSQL.ReplaceAllStringFunc(sql, func(found string) string {
		return strings.Replace(found, Default, name, 1)
	})
}

// A name that begins with that of the schema, such as of a role. Not the project's own address.
var begunByDefault = regexp.MustCompile(`(^|[^/\w])` + Default)

// RenameAll is [Rename] for SQL that makes more than what is in the schema: every name that begins with Default begins
// with the other name then.
func RenameAll(sql, name string) string {
	return begunByDefault.ReplaceAllString(sql, "${1}"+name)
}
