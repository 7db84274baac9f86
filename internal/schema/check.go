// Package schema knows what the library needs of its database schema, and checks a live one.
//
// The facts it compares come from the query CatalogFacts; what they should be stands in needs.go, so that neither a
// running application nor the check needs the migrations.
package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/reporadar/pgsession/internal/gen"
)

// Check compares the live schema of this name with what this version of the
// library needs, and refuses a search_path that hides built-in operators. It
// reads the catalog only, which every role may. The error is a *Mismatch, an
// *Unfit or the database's own when it can't be asked.
func Check(ctx context.Context, db gen.DBTX, schemaName string) error {
	return check(ctx, db, schemaName, needs)
}

// CheckAll is Check for everything that the migrations of this version make,
// used by the library or not, and for the database's encoding.
func CheckAll(ctx context.Context, db gen.DBTX, schemaName string) error {
	row, err := gen.New().CatalogRole(ctx, db, schemaName)
	if err != nil {
		return err
	}
	if problem := encodingProblem(row.Database, row.Encoding); problem != "" {
		return &Unfit{Problems: []string{problem}}
	}
	return check(ctx, db, schemaName, All())
}

func check(ctx context.Context, db gen.DBTX, schemaName string, wanted []Fact) error {
	if err := CheckPath(ctx, db); err != nil {
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

// unquoted takes the quotes off names. Postgres quotes each where the setting
// quote_all_identifiers is on, and none of the library's needs it.
func unquoted(text string) string { return strings.ReplaceAll(text, `"`, "") }

// differences says in plain words what is wanted and not so in a schema of these facts. Whatever is there beyond that
// is a newer version's, or the user's own, and is in order unless it keeps the library from inserting.
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
	var missing []string // tables
	for _, need := range wanted {
		is := object{need.Kind, need.Name}
		detail, ok := details[is]
		delete(details, is) // what is left is extra
		switch {
		case ok && need.holds(detail):
		case slices.ContainsFunc(found, need.named): // naming the object is enough
		case ok:
			found = append(found, need.differs(detail, schemaName))
		case need.belongsToOneOf(missing): // naming the table is enough
		default:
			found = append(found, need.Kind+" "+need.Name+" is missing")
			if need.Kind == "table" {
				missing = append(missing, need.Name)
			}
		}
	}
	for _, f := range live {
		if _, extra := details[object{f.Kind, f.Name}]; extra && f.breaksInserts() {
			found = append(found, fmt.Sprintf("column %s is unknown to this version, not null and without a default: inserts will fail", f.Name))
		}
	}
	return found
}

// holds reports whether an object with this detail will do. A default that nobody asked for does no harm.
func (f Fact) holds(detail string) bool {
	return detail == f.Detail || detail == f.Detail+withDefault || f.Detail == anyDefinition
}

// differs says what is wrong with an object whose detail is another than f's.
func (f Fact) differs(detail, schemaName string) string {
	switch f.Kind {
	case "index":
		return fmt.Sprintf("index %s is %s: rebuild it with REINDEX INDEX CONCURRENTLY %s.%[1]s", f.Name, detail, schemaName)
	case "security":
		return fmt.Sprintf("function %s has security %s, must have %s", f.Name, detail, f.Detail)
	case "storage":
		return fmt.Sprintf("table %s is %s, so a crash of the server empties it: ALTER TABLE %s.%[1]s SET LOGGED", f.Name, detail, schemaName)
	case "code":
		return fmt.Sprintf("table %s has %s, which can make statements do less than they report: drop or disable it", f.Name, detail)
	case "keys":
		return fmt.Sprintf("index %s is %s, must be %s", f.Name, detail, f.Detail)
	case "plan":
		return fmt.Sprintf("function %s is %s, must be %s", f.Name, detail, f.Detail)
	case "public":
		return fmt.Sprintf("every role has %s on %s.%s: REVOKE it FROM PUBLIC", detail, schemaName, f.Name)
	case "function":
		return fmt.Sprintf("function %s %s, must be one that %s", f.Name, detail, f.Detail)
	default:
		return fmt.Sprintf("%s %s is %s, must be %s", f.Kind, f.Name, detail, f.Detail)
	}
}

// about is the kinds of objects that a Fact can be about, which have a Fact of
// their own.
var about = map[string][]string{
	"security": {"function"}, "plan": {"function"}, "storage": {"table"}, "code": {"table"}, "keys": {"index", "constraint"},
	"public": {"table", "view", "function"},
}

// named reports whether a difference names the object that f is about.
func (f Fact) named(difference string) bool {
	return slices.ContainsFunc(about[f.Kind], func(kind string) bool { return strings.HasPrefix(difference, kind+" "+f.Name+" ") })
}

// belongsToOneOf reports whether f is a part of one of these tables, or about
// it: table.column, or table_something.
func (f Fact) belongsToOneOf(tables []string) bool {
	return slices.ContainsFunc(tables, func(table string) bool {
		return f.Name == table || strings.HasPrefix(f.Name, table+".") || strings.HasPrefix(f.Name, table+"_")
	})
}

// breaksInserts reports whether f is a column that wants a value from statements that don't know of it.
func (f Fact) breaksInserts() bool {
	known := func(need Fact) bool {
		return need.Kind == "table" && strings.HasPrefix(f.Name, need.Name+".")
	}
	return f.Kind == "column" && strings.HasSuffix(f.Detail, " not null") && slices.ContainsFunc(needs, known)
}
