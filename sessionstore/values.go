package sessionstore

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/reporadar/pgsession/internal/object"
)

// Get decodes the value of a key into dst, a pointer as for [json.Unmarshal],
// and reports whether there is a value. Without one, dst stays as it is. A
// value that does not decode is a *[ValueError]. The other error is
// [ErrRequestEnded]. [Key] does the same with a type.
func (s *Session) Get(key string, dst any) (bool, error) {
	raw, ok, err := s.value(key)
	if !ok || err != nil {
		return false, err
	}
	return true, decodeValue(key, raw, dst)
}

func (s *Session) value(key string) (raw json.RawMessage, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseClosed {
		return nil, false, ErrRequestEnded
	}
	raw, ok = s.lookup(key)
	return raw, ok, nil
}

// Set changes the value of a key to the JSON of v. The errors are:
//   - a *[ValueError] if v can't be represented, or if the session would grow
//     past [Config.Limits.MaxDataSize]; the old value stays
//   - [ErrHeadersSent], within a *[ValueError] that names the key, if the
//     response has begun and there is no session
//   - [ErrRequestEnded] after the request
//
// A change of a stored session after the first byte of the response is saved
// when the handler returns, or by [Session.Save]. A handler that panics drops
// it. A template that writes straight to the ResponseWriter sends that first
// byte early: render it into a buffer, or set and read the values before.
// [Session.Delete] and [Session.Pop] do the same.
func (s *Session) Set(key string, v any) error {
	raw, err := encodeValue(key, v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.changeable(key); err != nil {
		return err
	}
	limit, size := s.core.cfg.Limits.MaxDataSize, s.sizeWith(key, raw)
	if size > limit && size > s.sizeWith("", nil) {
		problem := fmt.Sprintf("the session's data would be larger than %d bytes", limit)
		return &ValueError{Key: key, Problem: problem}
	}
	s.edit(key, raw)
	return nil
}

// Delete removes a value. To remove one that is not there changes nothing. The
// errors are those of [Session.Set].
func (s *Session) Delete(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.changeable(key); err != nil {
		return err
	}
	if _, ok := s.lookup(key); ok {
		s.edit(key, nil)
	}
	return nil
}

// Pop is [Session.Get] and then [Session.Delete], in one step. It reads a value
// that is shown once, such as a message for the next page. A value that does
// not decode is removed too.
func (s *Session) Pop(key string, dst any) (bool, error) {
	raw, ok, err := s.take(key)
	if !ok || err != nil {
		return false, err
	}
	return true, decodeValue(key, raw, dst)
}

func (s *Session) take(key string) (raw json.RawMessage, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.changeable(key); err != nil {
		return nil, false, err
	}
	if raw, ok = s.lookup(key); ok {
		s.edit(key, nil)
	}
	return raw, ok, nil
}

// Has reports whether a key has a value. It is false after the request.
func (s *Session) Has(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.lookup(key)
	return ok && s.phase != phaseClosed
}

// Keys returns the names of the values, sorted. It is empty after the request.
func (s *Session) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseClosed {
		return nil
	}
	return slices.Sorted(maps.Keys(s.all()))
}

// Clear removes all values that the request sees. The user stays logged in, and
// a value that another request stores meanwhile stays. The errors are those of
// [Session.Delete].
func (s *Session) Clear() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.changeable("all"); err != nil {
		return err
	}
	for key := range s.all() {
		s.edit(key, nil)
	}
	return nil
}

// Values returns a copy of the values for a template, such as {{.cart}}, and
// removes those that are shown once, such as a message of the page before. Call
// it before the template writes: what a template pops itself may come too late.
// Each value is as [json.Unmarshal] makes it of any JSON, but a whole number is
// an int64. The errors are those of [Session.Pop].
func (s *Session) Values(once ...string) (map[string]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseClosed {
		return nil, ErrRequestEnded
	}
	raw := s.all()
	values := make(map[string]any, len(raw))
	for key, v := range raw {
		value, err := decodeAny(v)
		if err != nil {
			return nil, &ValueError{Key: key, Problem: "does not decode", Err: err}
		}
		values[key] = value
	}
	for _, key := range once {
		if _, ok := raw[key]; !ok {
			continue
		}
		if err := s.changeable(key); err != nil {
			return nil, err
		}
		s.edit(key, nil)
	}
	return values, nil
}

// The caller of each method below holds s.mu.

// all returns the values with the changes of this request.
func (s *Session) all() map[string]json.RawMessage {
	values, _ := object.Decode(json.RawMessage(s.loaded()))
	for _, changed := range []edits{s.sending, s.next.edits} {
		for key, raw := range changed {
			if values[key] = raw; raw == nil {
				delete(values, key)
			}
		}
	}
	return values
}

// changeable returns an error if the value of a key can't be changed any more.
func (s *Session) changeable(key string) error {
	switch {
	case s.phase == phaseClosed:
		return ErrRequestEnded
	case s.phase != phaseOpen && s.identity != stored:
		const problem = "can't be kept: the response began without a session: " +
			"render into a buffer, or read it before"
		return &ValueError{Key: key, Problem: problem, Err: ErrHeadersSent}
	}
	return nil
}

func (s *Session) lookup(key string) (json.RawMessage, bool) {
	if raw, edited := s.editOf(key); edited {
		return raw, raw != nil
	}
	return s.loaded().Get(key)
}

// editOf returns what this request made of a value, and false if it did not
// change it. Later edits come before those of a save that is under way.
func (s *Session) editOf(key string) (raw json.RawMessage, edited bool) {
	if raw, edited = s.next.edits[key]; !edited {
		raw, edited = s.sending[key]
	}
	return raw, edited
}

func (s *Session) edit(key string, value json.RawMessage) {
	if s.next.edits == nil {
		s.next.edits = edits{}
	}
	s.next.edits[key] = value
}

// loaded returns the data as loaded, unless a pending login drops it.
func (s *Session) loaded() object.Raw {
	if s.next.drop != dropNothing {
		return nil
	}
	return object.Raw(s.rec.Data)
}

// sizeWith returns how large the data would be with one value changed. With an
// empty key it returns how large it is.
func (s *Session) sizeWith(key string, value json.RawMessage) int {
	const quotesColonComma = 4
	size := 2
	add := func(key string, length int) { size += len(key) + length + quotesColonComma }
	if key != "" {
		add(key, len(value))
	}
	for name, v := range s.loaded().Members() {
		k := object.Unquote(name)
		if _, edited := s.editOf(k); !edited && k != key {
			add(k, len(v))
		}
	}
	for k, v := range s.next.edits {
		if v != nil && k != key {
			add(k, len(v))
		}
	}
	for k, v := range s.sending {
		if _, again := s.next.edits[k]; v != nil && k != key && !again {
			add(k, len(v))
		}
	}
	return size
}
