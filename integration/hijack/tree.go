// Package hijack finds the names in SQL that Postgres would resolve to a
// function or operator of another role. It reads the parse trees that Postgres
// itself prints, so that nothing depends on a list of names made by hand.
package hijack

import (
	"slices"
	"strconv"
	"strings"
)

// node is a node of a parse tree, in the form of debug_print_parse and of the
// type pg_node_tree: {LABEL :field value :field value}.
type node struct {
	label  string
	fields map[string][]any // *node, []any for a list, string otherwise
}

// parse reads the text of a tree or of a list of trees.
func parse(text string) []any {
	p := &reader{text: text}
	return p.values()
}

type reader struct {
	text string
	at   int
}

// token returns the next token: a bracket, or the text before the next space or
// bracket that is not escaped. It is empty at the end.
func (p *reader) token() string {
	for p.at < len(p.text) && strings.IndexByte(" \n\t", p.text[p.at]) >= 0 {
		p.at++
	}
	begin := p.at
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case '\\':
			p.at++
		case '(', ')', '{', '}':
			if p.at == begin {
				p.at++
			}
			return p.text[begin:p.at]
		case ' ', '\n', '\t':
			return p.text[begin:p.at]
		}
		p.at++
	}
	return p.text[begin:min(p.at, len(p.text))]
}

func (p *reader) peek() string {
	defer func(at int) { p.at = at }(p.at)
	return p.token()
}

// values returns the values before the next closing bracket or field.
func (p *reader) values() (all []any) {
	for {
		switch next := p.peek(); {
		case next == "" || next == ")" || next == "}" || next[0] == ':':
			return all
		case next == "(":
			p.token()
			all = append(all, p.values())
			for p.peek() != ")" && p.peek() != "" { // a string that begins with a colon
				p.token()
			}
			p.token()
		case next == "{":
			p.token()
			all = append(all, p.node())
		default:
			all = append(all, p.token())
		}
	}
}

func (p *reader) node() *node {
	n := &node{label: p.token(), fields: map[string][]any{}}
	for {
		switch next := p.token(); {
		case next == "}" || next == "":
			return n
		case next[0] == ':':
			n.fields[next[1:]] = p.values()
		}
	}
}

// number returns a field that is a number, such as an oid.
func (n *node) number(field string) uint32 {
	if n == nil || len(n.fields[field]) == 0 {
		return 0
	}
	text, _ := n.fields[field][0].(string)
	v, _ := strconv.ParseUint(text, 10, 32)
	return uint32(v)
}

func (n *node) is(field, value string) bool {
	return n != nil && len(n.fields[field]) > 0 && n.fields[field][0] == value
}

// child returns a field that is a node.
func (n *node) child(field string) *node {
	if n == nil || len(n.fields[field]) == 0 {
		return nil
	}
	c, _ := n.fields[field][0].(*node)
	return c
}

// list returns a field that is a list of nodes.
func (n *node) list(field string) (all []*node) {
	if n == nil || len(n.fields[field]) == 0 {
		return nil
	}
	items, _ := n.fields[field][0].([]any)
	for _, item := range items {
		if c, ok := item.(*node); ok {
			all = append(all, c)
		}
	}
	return all
}

// walk calls visit for each node below v.
func walk(v any, visit func(*node)) {
	switch v := v.(type) {
	case *node:
		visit(v)
		names := make([]string, 0, len(v.fields))
		for name := range v.fields {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			walk(v.fields[name], visit)
		}
	case []any:
		for _, item := range v {
			walk(item, visit)
		}
	}
}
