package store

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// LoginID names one login of a user, in events and logs. It is no credential. A
// rotation and a step-up keep it, and each further login replaces it. The zero
// value is none.
type LoginID [16]byte

// NewLoginID draws a random UUID.
func NewLoginID() (id LoginID) {
	_, _ = rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id
}

// String returns the text of the UUID, and "" for none.
func (id LoginID) String() string {
	if id == (LoginID{}) {
		return ""
	}
	text := make([]byte, 0, 36)
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, part)
	}
	return string(text)
}

// MarshalText returns what String does.
func (id LoginID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Method is one way in which a user proved their identity.
type Method struct {
	// Name is 1 to 32 bytes of a-z, 0-9, '.', '_' and '-', such as "password".
	Name string `json:"name"`
	// Level is the strength that the application gives the method: 0 to 99.
	Level int `json:"level"`
	// At is when it was accepted. In a [Record] it is the store's clock. In a
	// [Draft] or a [Change] zero is now, and a restore sets its own clock.
	At time.Time `json:"at"`
}

// MaxLevel is the highest level of a [Method].
const MaxLevel = 99

// Methods are the methods of a login, as the JSON object of the store. They are
// decoded when they are asked for, so a load pays nothing for them. The zero
// value has none.
type Methods struct{ text string }

// method is a member of the object, whose name is that of the method.
type method struct {
	Level *int       `json:"level"`
	At    *time.Time `json:"at"`
	// Age is how many seconds before At the method was accepted, in a session
	// that existed elsewhere.
	Age float64 `json:"age,omitempty"`
}

// maxAge is more than the age of any session, in seconds.
const maxAge = 1e9

// valid reports whether a store has written the member.
func (m *method) valid(name string) bool {
	return name != "" && m.At != nil && m.Level != nil && *m.Level >= 0 && *m.Level <= MaxLevel &&
		m.Age >= 0 && m.Age <= maxAge
}

// NewMethods returns these methods. Of two with the same name it keeps the
// later argument.
func NewMethods(methods ...Method) Methods {
	if len(methods) == 0 {
		return Methods{}
	}
	object := make(map[string]method, len(methods))
	for i := range methods {
		at := methods[i].At.UTC()
		object[methods[i].Name] = method{Level: &methods[i].Level, At: &at}
	}
	text, err := json.Marshal(object)
	if err != nil { // a year that RFC 3339 can't write
		return Methods{}
	}
	return Methods{string(text)}
}

// MethodsFromJSON returns the methods of an object that a store has kept. It
// does not read the text: see [Methods.All].
func MethodsFromJSON(text string) Methods { return Methods{text} }

// JSON returns the object, and "" for none.
func (m Methods) JSON() string { return m.text }

// All returns the methods, the oldest first. It is nil if there are none. It is
// nil, too, if one of them can't be read: no level is better than a wrong one.
func (m Methods) All() []Method {
	if m.text == "" {
		return nil
	}
	var object map[string]method
	if err := json.Unmarshal([]byte(m.text), &object); err != nil {
		return nil
	}
	all := make([]Method, 0, len(object))
	for name, of := range object {
		if !of.valid(name) {
			return nil
		}
		at := of.At.Add(-time.Duration(of.Age * float64(time.Second)))
		all = append(all, Method{name, *of.Level, at})
	}
	slices.SortFunc(all, func(a, b Method) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Level, b.Level),
			cmp.Compare(a.Name, b.Name))
	})
	return all
}

// Level returns the highest level among the methods, and 0 without any.
func (m Methods) Level() int {
	level := 0
	for _, of := range m.All() {
		level = max(level, of.Level)
	}
	return level
}

// LatestAt returns when a method of at least this level was last accepted. It
// is zero if none was.
func (m Methods) LatestAt(level int) time.Time {
	var latest time.Time
	for _, of := range m.All() {
		if of.Level >= level && of.At.After(latest) {
			latest = of.At
		}
	}
	return latest
}

// Format writes the object, whatever the verb.
func (m Methods) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.text) }

// Tag is a name by which sessions are listed and revoked, such as that of an
// organisation or of a session at an identity provider. It is a hash, so the
// store does not hold the name. It prints as "tag".
type Tag [32]byte

// MaxTags is how many tags a session can have.
const MaxTags = 8

// tagLabel keeps tags apart from any other hash of the same text.
const tagLabel = "pgsession tag v1\x00"

// NewTag returns the tag of a value of one kind. Values of two kinds have
// different tags.
func NewTag(kind, value string) Tag {
	b := []byte(tagLabel)
	for _, part := range [...]string{kind, value} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// tagText is what each tag prints as: a log line must not correlate sessions.
const tagText = "tag"

// Format writes "tag", whatever the verb.
func (t Tag) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, tagText) }

// LogValue is "tag".
func (t Tag) LogValue() slog.Value { return slog.StringValue(tagText) }

// MarshalText is "tag".
func (t Tag) MarshalText() ([]byte, error) { return []byte(tagText), nil }

// PendingTimeout is how long a pending login can be completed.
const PendingTimeout = 10 * time.Minute
