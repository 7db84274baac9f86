package hijack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Collector gathers the parse trees of every statement on the connections that
// it configures, also of those inside functions.
type Collector struct {
	mu    sync.Mutex
	trees []string
}

// Configure makes the server send its parse trees. It takes over OnNotice.
func (c *Collector) Configure(config *pgxpool.Config) {
	for name, value := range map[string]string{
		"debug_print_parse": "on", "debug_pretty_print": "off", "client_min_messages": "log",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.Message == "parse tree:" {
			c.Add(n.Detail)
		}
	}
}

// Add adds a tree, such as one from the catalog.
func (c *Collector) Add(tree string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trees = append(c.trees, tree)
}

// AddStored adds the trees that the catalog keeps of the objects in a schema:
// CHECK constraints, defaults, views, indexes and the defaults of parameters.
func (c *Collector) AddStored(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	rows, err := pool.Query(ctx, stored, schema)
	if err != nil {
		return err
	}
	trees, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(trees) == 0 {
		err = fmt.Errorf("the catalog has no tree of schema %s", schema)
	}
	for _, tree := range trees {
		c.Add(tree)
	}
	return err
}

const stored = `
	SELECT k.conbin::text FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_namespace AS n ON n.oid = k.connamespace
	WHERE n.nspname = $1::text AND k.conbin IS NOT NULL
	UNION ALL
	SELECT d.adbin::text FROM pg_catalog.pg_attrdef AS d JOIN pg_catalog.pg_class AS c ON c.oid = d.adrelid
	JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1::text
	UNION ALL
	SELECT r.ev_action::text FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
	JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1::text
	UNION ALL
	SELECT t.tree FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid
	JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace,
	LATERAL (VALUES (x.indexprs::text), (x.indpred::text)) AS t (tree) WHERE n.nspname = $1::text AND t.tree IS NOT NULL
	UNION ALL
	SELECT p.proargdefaults::text FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
	WHERE n.nspname = $1::text AND p.proargdefaults IS NOT NULL`

func (c *Collector) calls() (all []call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tree := range c.trees {
		all = append(all, callsIn(tree)...)
	}
	return all
}

// Trees returns how many trees there are.
func (c *Collector) Trees() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.trees)
}

// Trap is a function or operator that a name resolves to if its arguments match
// it exactly and match no built-in. Running it fails.
type Trap struct {
	operator  bool
	name      string
	arguments []string // types, after the names of named ones
	result    string
}

// String returns the trap as it stands in an error message of the server.
func (t Trap) String() string { return t.name + "(" + strings.Join(t.arguments, ", ") + ")" }

// Find returns a trap for each call of a built-in function or operator.
// Postgres does not record which arguments had no type. So it treats each
// literal and parameter as one, and makes traps with text and with the type of
// the other operand.
func (c *Collector) Find(ctx context.Context, pool *pgxpool.Pool) ([]Trap, error) {
	known, err := load(ctx, pool)
	if err != nil {
		return nil, err
	}
	found := map[string]Trap{}
	for _, call := range c.calls() {
		name, result := known.routines[routine{call.operator, call.oid}],
			known.types[known.resolve(call.result)]
		if name.schema != "pg_catalog" {
			continue
		}
		if call.set {
			result = "SETOF " + result
		}
		for _, arguments := range call.variants(known) {
			t := Trap{call.operator, name.name, arguments, result}
			found[fmt.Sprint(call.operator, t)] = t
		}
	}
	traps := make([]Trap, 0, len(found))
	for _, t := range found {
		traps = append(traps, t)
	}
	slices.SortFunc(traps, func(a, b Trap) int { return strings.Compare(a.String(), b.String()) })
	return traps, nil
}

// variants returns the types that a trap for a call may have.
func (c call) variants(known *catalog) [][]string {
	all := [][]string{nil}
	for i, a := range c.args {
		types := []string{known.types[known.resolve(a.typ)]}
		if types[0] == "unknown" {
			types = nil
		}
		if a.untyped {
			types = append(types, "text")
			if c.operator && len(c.args) == 2 {
				types = append(types, known.types[known.resolve(c.args[1-i].typ)])
			}
		}
		slices.Sort(types)
		types = slices.Compact(types)
		var longer [][]string
		for _, before := range all {
			for _, typ := range types {
				if a.name != "" {
					typ = a.name + " " + typ
				}
				longer = append(longer, append(slices.Clone(before), typ))
			}
		}
		all = longer
	}
	return all
}

// Foreign returns the functions and operators that calls resolved to and that
// are neither built in nor in one of these schemas.
func (c *Collector) Foreign(ctx context.Context, pool *pgxpool.Pool,
	schemas ...string,
) ([]string, error) {
	known, err := load(ctx, pool)
	if err != nil {
		return nil, err
	}
	var foreign []string
	for _, call := range c.calls() {
		n, ok := known.routines[routine{call.operator, call.oid}]
		if ok && n.schema != "pg_catalog" && !slices.Contains(schemas, n.schema) {
			foreign = append(foreign, n.schema+"."+n.name)
		}
	}
	slices.Sort(foreign)
	return slices.Compact(foreign), nil
}

// Set puts traps into a schema, and returns those that can't be made.
func Set(ctx context.Context, pool *pgxpool.Pool, schema string, traps []Trap) (unmade []string) {
	for i, t := range traps {
		function := t.name
		if t.operator {
			function = fmt.Sprintf("operator_%d", i)
		}
		sql := fmt.Sprintf("CREATE FUNCTION %s.%s(%s) RETURNS %s LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION USING MESSAGE = %s; END$$",
			schema, pgx.Identifier{function}.Sanitize(), strings.Join(t.arguments, ", "), t.result,
			quote("hijacked: "+t.String()))
		if t.operator {
			operands := "RIGHTARG = " + t.arguments[len(t.arguments)-1]
			if len(t.arguments) == 2 {
				operands += ", LEFTARG = " + t.arguments[0]
			}
			sql += fmt.Sprintf("; CREATE OPERATOR %s.%s (FUNCTION = %[1]s.%[3]s, %[4]s)", schema,
				t.name, function, operands)
		}
		if _, err := pool.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			unmade = append(unmade, fmt.Sprintf("%s: %v", t, err))
		}
	}
	return unmade
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

type (
	routine struct {
		operator bool
		oid      uint32
	}
	name struct{ schema, name string }

	// catalog resolves the oids in the trees.
	catalog struct {
		routines         map[routine]name
		types            map[uint32]string
		elements, arrays map[uint32]uint32
	}
)

func (k *catalog) resolve(typ uint32) uint32 {
	switch {
	case typ&elementFlag != 0:
		return k.elements[typ&^elementFlag]
	case typ&arrayOf != 0:
		return k.arrays[typ&^arrayOf]
	}
	return typ
}

func load(ctx context.Context, pool *pgxpool.Pool) (*catalog, error) {
	k := &catalog{map[routine]name{}, map[uint32]string{}, map[uint32]uint32{}, map[uint32]uint32{}}
	rows, err := pool.Query(ctx, `
		SELECT false, p.oid, n.nspname::text, p.proname::text FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
		UNION ALL
		SELECT true, o.oid, n.nspname::text, o.oprname::text FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace`)
	if err != nil {
		return nil, err
	}
	var r routine
	var n name
	if _, err := pgx.ForEachRow(rows, []any{&r.operator, &r.oid, &n.schema, &n.name}, func() error {
		k.routines[r] = n
		return nil
	}); err != nil {
		return nil, err
	}
	if rows, err = pool.Query(ctx, `SELECT t.oid, pg_catalog.format_type(t.oid, NULL), t.typelem, t.typarray FROM pg_catalog.pg_type AS t`); err != nil {
		return nil, err
	}
	var oid, element, array uint32
	var typ string
	_, err = pgx.ForEachRow(rows, []any{&oid, &typ, &element, &array}, func() error {
		k.types[oid], k.elements[oid], k.arrays[oid] = typ, element, array
		return nil
	})
	return k, err
}
