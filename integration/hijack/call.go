package hijack

import (
	"strings"
)

// Oids of Postgres that never change.
const (
	typeBool = 16
	typeInt4 = 23
)

// argument is an argument of a call: its type before Postgres converted it, and
// whether it may have had none. Literals and parameters without a cast have
// none.
type argument struct {
	typ     uint32
	name    string // of a named argument
	untyped bool
}

// call is a use of a function or operator in a parse tree.
type call struct {
	operator bool
	oid      uint32
	args     []argument
	result   uint32
	set      bool
}

// callsIn returns every call in the trees of a text.
func callsIn(text string) (found []call) {
	walk(parse(text), func(n *node) {
		switch n.label {
		case "FUNCEXPR":
			if n.is("funcformat", "1") || n.is("funcformat", "2") {
				return // a cast, which has no name
			}
			found = append(found, call{
				oid: n.number("funcid"), args: arguments(n.list("args")),
				result: n.number("funcresulttype"), set: n.is("funcretset", "true"),
			})
		case "AGGREF":
			args := append(n.list("aggdirectargs"), n.list("args")...)
			found = append(found,
				call{oid: n.number("aggfnoid"), args: arguments(args), result: n.number("aggtype")})
		case "WINDOWFUNC":
			found = append(found, call{
				oid: n.number("winfnoid"), args: arguments(n.list("args")),
				result: n.number("wintype"),
			})
		case "OPEXPR", "DISTINCTEXPR", "NULLIFEXPR":
			found = append(found, call{
				operator: true, oid: n.number("opno"), args: arguments(n.list("args")),
				result: n.number("opresulttype"),
			})
		case "SCALARARRAYOPEXPR": // the operator takes an element
			args := arguments(n.list("args"))
			if len(args) == 2 {
				args[1].typ = elementOf(n.list("args")[1], args[1].typ)
			}
			found = append(found,
				call{operator: true, oid: n.number("opno"), args: args, result: typeBool})
		}
	})
	return found
}

// Types that only the catalog can resolve: the element of the array type in the
// lower bits, and the array of the type there.
const (
	elementFlag = 1 << 31
	arrayOf     = 1 << 30
)

func elementOf(n *node, array uint32) uint32 {
	if strings.HasPrefix(n.label, "ARRAY") {
		if e := n.number("element_typeid"); e != 0 {
			return e
		}
	}
	if array&arrayOf != 0 {
		return array &^ arrayOf
	}
	return array | elementFlag
}

func arguments(nodes []*node) (args []argument) {
	for _, n := range nodes {
		if n.label == "TARGETENTRY" {
			if n.is("resjunk", "true") {
				continue // an ORDER BY inside
			}
			n = n.child("expr")
		}
		var a argument
		if n.label == "NAMEDARGEXPR" {
			a.name, _ = n.fields["name"][0].(string)
			n = n.child("arg")
		}
		if n = bare(n); n == nil {
			continue
		}
		a.typ = typeOf(n)
		a.untyped = n.label == "CONST" || n.label == "PARAM"
		args = append(args, a)
	}
	return args
}

// bare strips the casts that Postgres added.
func bare(n *node) *node {
	for {
		implicit := n.is("funcformat", "2") || n.is("relabelformat", "2") ||
			n.is("coerceformat", "2") || n.is("coercionformat", "2")
		switch {
		case implicit && n.label == "FUNCEXPR":
			n = n.list("args")[0] // the others are the length
		case implicit:
			n = n.child("arg")
		default:
			return n
		}
	}
}

// typeOf returns the type of an expression, or 0 if it has none of its own.
func typeOf(n *node) uint32 {
	if n == nil {
		return 0
	}
	switch n.label {
	case "BOOLEXPR", "NULLTEST", "BOOLEANTEST", "SCALARARRAYOPEXPR", "ROWCOMPARE", "ROWCOMPAREEXPR",
		"CURRENTOFEXPR":
		return typeBool
	case "GROUPINGFUNC":
		return typeInt4
	case "SUBLINK":
		switch {
		case n.is("subLinkType", "4"), n.is("subLinkType", "6"): // of one value, ARRAY
			targets := n.child("subselect").list("targetList")
			if len(targets) == 0 {
				return 0
			}
			t := typeOf(targets[0].child("expr"))
			if n.is("subLinkType", "6") {
				return t | arrayOf
			}
			return t
		default:
			return typeBool
		}
	case "TARGETENTRY":
		return typeOf(n.child("expr"))
	}
	for _, field := range []string{
		"vartype", "consttype", "paramtype", "funcresulttype", "opresulttype", "aggtype", "wintype",
		"resulttype", "casetype",
		"typeId", "array_typeid", "row_typeid", "coalescetype", "minmaxtype", "refrestype",
		"refelemtype", "type",
	} {
		if t := n.number(field); t != 0 {
			return t
		}
	}
	return 0
}
