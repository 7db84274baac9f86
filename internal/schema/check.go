// Package schema checks that a live schema has what the library needs.
//
// The query CatalogFacts reads the facts of the live schema. needs.go lists
// what they must be, so that an application does not need the migrations.
package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/reporadar/pgsession/internal/gen"
)

// Check compares the live schema with what this version of the library needs,
// and refuses another encoding than UTF8, and a search_path that hides built-in
// operators. It reads only the catalog, which every role may read. The error is
// a *Mismatch, an *Unfit, or that of the query.
func Check(ctx context.Context, db gen.DBTX, schemaName string) error {
	return check(ctx, db, schemaName, needs)
}

// CheckAll checks everything that the migrations of this version make, used by
// the library or not.
func CheckAll(ctx context.Context, db gen.DBTX, schemaName string) error {
	return check(ctx, db, schemaName, All())
}

func check(ctx context.Context, db gen.DBTX, schemaName string, wanted []Fact) error {
	if err := CheckPath(ctx, db); err != nil {
		return err
	}
	// Before the schema: migrations refuse such a database.
	if err := CheckEncoding(ctx, db, schemaName); err != nil {
		return err
	}
	rows, err := gen.New().CatalogFacts(ctx, db, schemaName)
	if err != nil {
		return err
	}
	live := make([]Fact, len(rows))
	for i, row := range rows {
		live[i] = Fact{row.Kind, unquoted(row.Name), unquoted(row.Detail)}
	}
	found := differences(schemaName, wanted, live)
	hijacked, err := foreign(ctx, db, schemaName, wanted)
	if err != nil {
		return err
	}
	if found = append(found, hijacked...); len(found) > 0 {
		return &Mismatch{Schema: schemaName, Differences: found}
	}
	return nil
}

// unquoted removes the quotes that quote_all_identifiers adds to names. None of
// the library's names needs quotes.
func unquoted(text string) string { return strings.ReplaceAll(text, `"`, "") }

// differences describes in words where a schema with the live facts lacks a
// wanted one. An additional object belongs to a newer version or to the
// application. It counts only if it makes the library's inserts fail.
func differences(schemaName string, wanted, live []Fact) []string {
	if !slices.Contains(live, Fact{"schema", schemaName, ""}) {
		return []string{"schema " + schemaName + " is missing"}
	}
	type object struct{ kind, name string }
	details := make(map[object]string, len(live))
	for _, f := range live {
		details[object{f.Kind, f.Name}] = f.Detail
	}

	var found []string
	var missing []string // tables, and those of another kind
	for _, need := range wanted {
		is := object{need.Kind, need.Name}
		detail, ok := details[is]
		delete(details, is) // what is left is extra
		switch {
		case ok && need.holds(detail):
		case slices.ContainsFunc(found, need.named): // one difference for an object
		case ok:
			found = append(found, need.differs(detail, schemaName))
			if need.Kind == "table" { // its indexes have names of their own
				missing = append(missing, need.Name)
			}
		case need.belongsToOneOf(missing): // one difference for a table
		default:
			found = append(found, need.Kind+" "+need.Name+" is missing")
			if need.Kind == "table" {
				missing = append(missing, need.Name)
			}
		}
	}
	for _, f := range live {
		if _, extra := details[object{f.Kind, f.Name}]; extra && f.breaksInserts() {
			found = append(found, fmt.Sprintf("column %s is unknown to this version,"+
				" and inserts fail because it is not null and has no default"+
				" (set a default)", f.Name))
		}
	}
	return found
}

// holds reports whether an object with this detail meets f. An additional
// default does no harm, nor does an additional storage parameter.
func (f Fact) holds(detail string) bool {
	if f.Kind == "options" {
		lacks, hinders := f.options(detail)
		return len(lacks) == 0 && hinders == ""
	}
	return detail == f.Detail || detail == f.Detail+withDefault || f.Detail == anyDefinition
}

// The options of a table that hinder the library, with what removes them.
var hindering = map[string]string{
	"autovacuum off":     "RESET (autovacuum_enabled)",
	"row-level security": "DISABLE ROW LEVEL SECURITY",
}

// options returns the storage parameters that a table lacks, and an option that
// it may not have.
func (f Fact) options(detail string) (lacks []string, hinders string) {
	has := strings.Split(detail, ", ")
	for _, option := range has {
		if _, hindering := hindering[option]; hindering {
			hinders = option
		}
	}
	if f.Detail == "none" {
		return nil, hinders
	}
	for _, option := range strings.Split(f.Detail, ", ") {
		if !slices.Contains(has, option) {
			lacks = append(lacks, option)
		}
	}
	return lacks, hinders
}

// differs describes an object that has another detail than f. What repairs that
// object alone stands in parentheses.
func (f Fact) differs(detail, schemaName string) string {
	object := schemaName + "." + f.Name
	switch f.Kind {
	case "table":
		return fmt.Sprintf("table %s is %s: counts, health and the prune would be wrong"+
			" (copy its rows into a table that `migrate up` made)", f.Name, detail)
	case "index":
		return fmt.Sprintf("index %s is %s (REINDEX INDEX CONCURRENTLY %s)", f.Name, detail, object)
	case "storage":
		return fmt.Sprintf("table %s is %s: a crash of the server empties it"+
			" (ALTER TABLE %s SET LOGGED)", f.Name, detail, object)
	case "options":
		lacks, hinders := f.options(detail)
		if hinders != "" {
			return fmt.Sprintf("table %s has %s (ALTER TABLE %s %s)",
				f.Name, hinders, object, hindering[hinders])
		}
		return fmt.Sprintf("table %s lacks %s (ALTER TABLE %s SET, with the values of the"+
			" migration)", f.Name, strings.Join(lacks, ", "), object)
	case "code":
		return fmt.Sprintf("table %s has %s: statements can do less than they report"+
			" (drop or disable)", f.Name, detail)
	case "public":
		class := "TABLE"
		if strings.Contains(f.Name, "(") {
			class = "ROUTINE"
		}
		return fmt.Sprintf("every role has %s on %s (REVOKE ALL ON %s %[2]s FROM PUBLIC)",
			detail, object, class)
	case "security":
		return fmt.Sprintf("function %s has security %s, must have security %s",
			f.Name, detail, f.Detail)
	case "function":
		return fmt.Sprintf("function %s %s, must be one that %s",
			f.Name, predicate(detail), predicate(f.Detail))
	}
	kind := f.Kind
	switch kind {
	case "keys":
		kind = "index"
	case "plan":
		kind = "function"
	}
	return fmt.Sprintf("%s %s is %s, must be %s", kind, f.Name, detail, f.Detail)
}

// predicate returns the detail of a function as the predicate of a sentence.
func predicate(detail string) string {
	if detail == "procedure" {
		return "is a procedure"
	}
	return detail
}

// about lists the kinds of object that a Fact can describe a property of.
var about = map[string][]string{
	"security": {"function"},
	"plan":     {"function"},
	"storage":  {"table"},
	"options":  {"table"},
	"code":     {"table"},
	"keys":     {"index", "constraint"},
	"public":   {"table", "view", "function"},
}

// named reports whether a difference names the object that f is about.
func (f Fact) named(difference string) bool {
	return slices.ContainsFunc(about[f.Kind], func(kind string) bool {
		return strings.HasPrefix(difference, kind+" "+f.Name+" ")
	})
}

// belongsToOneOf reports whether f is a part of one of the tables, or about it:
// table.column or table_something.
func (f Fact) belongsToOneOf(tables []string) bool {
	return slices.ContainsFunc(tables, func(table string) bool {
		return f.Name == table ||
			strings.HasPrefix(f.Name, table+".") || strings.HasPrefix(f.Name, table+"_")
	})
}

// breaksInserts reports whether f is a column that demands a value from the
// library's inserts.
func (f Fact) breaksInserts() bool {
	known := func(need Fact) bool {
		return need.Kind == "table" && strings.HasPrefix(f.Name, need.Name+".")
	}
	return f.Kind == "column" && strings.HasSuffix(f.Detail, " not null") &&
		slices.ContainsFunc(needs, known)
}
