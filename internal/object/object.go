// Package object reads and writes a session's data: one JSON object, a member
// for each key.
package object

import (
	"encoding/json"
	"iter"
)

// Raw reads a session's data without decoding all of it, so a handler that
// reads one value of ten decodes one. The data must be a JSON object that a
// store has checked. In anything else, Raw finds the members before the fault.
type Raw json.RawMessage

// Get returns the value of a member, and whether it exists. Of two with one
// name, which only another writer stores, it returns the last, as encoding/json
// and Postgres's jsonb do.
func (o Raw) Get(key string) (found json.RawMessage, ok bool) {
	for name, value := range o.Members() {
		if nameIs(name, key) {
			found, ok = json.RawMessage(value), true
		}
	}
	return found, ok
}

// Members yields the members in order, the names as JSON strings.
func (o Raw) Members() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := o.space(0)
		if i == len(o) || o[i] != '{' {
			return
		}
		for i < len(o) && (o[i] == '{' || o[i] == ',') {
			from := o.space(i + 1)
			to := o.value(from)
			colon := o.space(to)
			if to == from || o[from] != '"' || colon == len(o) || o[colon] != ':' {
				return
			}
			start := o.space(colon + 1)
			i = o.value(start)
			if i == start || !yield(o[from:to], o[start:i]) {
				return
			}
			i = o.space(i)
		}
	}
}

// space returns the end of the white space that begins at i.
func (o Raw) space(i int) int {
	for i < len(o) && (o[i] == ' ' || o[i] == '\t' || o[i] == '\n' || o[i] == '\r') {
		i++
	}
	return i
}

// value returns the end of the value that begins at i.
func (o Raw) value(i int) int {
	for depth := 0; i < len(o); {
		switch o[i] {
		case '"':
			i = o.text(i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ',', ' ', '\t', '\n', '\r', ':':
			if depth == 0 {
				return i
			}
			i++
			continue
		default:
			i++
			continue // inside a number or a word
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

// text returns the end of the string that begins at i.
func (o Raw) text(i int) int {
	for i++; i < len(o); i++ {
		switch o[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(o)
}

// nameIs reports whether a JSON string spells a key.
func nameIs(name []byte, key string) bool {
	if len(name) < 2 {
		return false
	}
	plain := name[1 : len(name)-1]
	for _, c := range plain {
		if c == '\\' {
			return Unquote(name) == key
		}
	}
	return string(plain) == key
}

// Unquote returns the text of a JSON string.
func Unquote(name []byte) (s string) {
	_ = json.Unmarshal(name, &s)
	return s
}
