package sessionstore

// Key reads and writes one value of a session, with a name and a type. Make it
// once, at package level:
//
//	var cart = sessionstore.NewKey[[]Item]("cart")
//
// A Key is immutable and safe for concurrent use. Set of the zero Key, which
// has no name, returns a *[ValueError].
type Key[T any] struct{ name string }

// NewKey returns the Key of a name. Two keys of the same name read the same
// value. A name is 1 to 255 bytes of valid UTF-8 without NUL; for any other Set
// returns a *[ValueError].
func NewKey[T any](name string) Key[T] { return Key[T]{name} }

// Get returns the value, or the zero T if there is none. The error is a
// *[ValueError] if the stored value does not decode into T, as after the type
// has changed between two releases.
func (k Key[T]) Get(s *Session) (T, error) {
	v, _, err := k.Lookup(s)
	return v, err
}

// Lookup is Get that also reports whether there is a value.
func (k Key[T]) Lookup(s *Session) (v T, ok bool, err error) {
	if ok, err = s.Get(k.name, &v); err != nil {
		var zero T // not what a half-done decode left
		return zero, ok, err
	}
	return v, ok, nil
}

// Set changes the value. See [Session.Set].
func (k Key[T]) Set(s *Session, v T) error { return s.Set(k.name, v) }

// Delete removes the value. See [Session.Delete].
func (k Key[T]) Delete(s *Session) error { return s.Delete(k.name) }

// Pop returns the value and removes it, for values that are shown once. See
// [Session.Pop].
func (k Key[T]) Pop(s *Session) (v T, ok bool, err error) {
	if ok, err = s.Pop(k.name, &v); err != nil {
		var zero T
		return zero, ok, err
	}
	return v, ok, nil
}
