package sessionstore

import (
	"slices"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// Tag is a name by which sessions are found: that of a session at an identity
// provider, of a passkey, of an organisation. It is a hash, so the store does
// not hold the name, and it prints as "tag". Make it with [NewTag].
type Tag = store.Tag

// NewTag returns the tag of a value of one kind, such as "passkey" and the id
// of the credential. Values of two kinds have different tags.
//
// A tag hides only a value that can't be guessed: for a few hundred
// organisations, an attacker with the database can compute all of them.
func NewTag(kind, value string) Tag { return store.NewTag(kind, value) }

// WithTags gives the login tags. The next login replaces them; a rotation and a
// step-up keep them. [Session.CompleteLogin] adds them to those of
// [Session.BeginLogin].
//
// A login has at most 8 tags. More of them, and the zero Tag, are a
// *[ValueError] of the login.
func WithTags(tags ...Tag) LoginOption {
	return loginOption(func(a *authentication) error {
		for _, tag := range tags {
			if tag == (Tag{}) {
				return &ValueError{Key: "tag", Problem: "is the zero Tag: make it with NewTag"}
			}
		}
		a.tags = union(a.tags, tags)
		return nil
	})
}

// union returns the tags of both, each once.
func union(a, b []Tag) []Tag {
	all := slices.Clone(a)
	for _, tag := range b {
		if !slices.Contains(all, tag) {
			all = append(all, tag)
		}
	}
	return all
}
