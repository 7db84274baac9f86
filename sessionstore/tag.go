package sessionstore

import (
	"context"
	"fmt"
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
// A login has at most 8 tags, and each of its factors at most 4 if BeginLogin
// and CompleteLogin are two. More of them, and the zero Tag, are a
// *[ValueError] of the login.
func WithTags(tags ...Tag) LoginOption {
	return loginOption(func(a *authentication) error {
		for _, tag := range tags {
			if err := tagError(tag); err != nil {
				return err
			}
		}
		a.tags = union(a.tags, tags)
		return nil
	})
}

// RevokeTag ends all sessions with this tag, of all users, including the
// request's. Logins with the tag that are under way are refused: they began
// before the revoke. Call it when what the tag names is over: a session at an
// identity provider, a passkey, an organisation.
//
// It returns the errors of [Manager.RevokeUser]. The zero Tag is a
// *[ValueError].
func (m *Manager) RevokeTag(ctx context.Context, tag Tag) (Revocation, error) {
	if err := tagError(tag); err != nil {
		return Revocation{}, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return m.revoke(ctx, store.Selection{Tag: tag}, ReasonTag, m.ownMarksOf(ctx))
}

// RevokeTag is [Manager.RevokeTag]. It returns how many sessions end with the
// transaction.
func (t *Tx) RevokeTag(ctx context.Context, tag Tag) (int, error) {
	if err := tagError(tag); err != nil {
		return 0, fmt.Errorf("sessionstore: revoke: %w", err)
	}
	return t.revoke(ctx, store.Selection{Tag: tag}, ReasonTag, t.m.ownMarksOf(ctx))
}

// ListTag returns the live sessions with this tag, of all users, newest first:
// the first hundred, or the given page. Page.Tag need not be set. It returns
// the errors of [Manager.List]. The zero Tag is a *[ValueError].
//
// Each page reads and sorts all sessions with the tag. It is for tags with up
// to 100,000 sessions: with more, a page can take longer than
// Config.StoreTimeout. RevokeTag has no such bound.
func (m *Manager) ListTag(ctx context.Context, tag Tag, page Page) ([]Info, error) {
	if err := tagError(tag); err != nil {
		return nil, fmt.Errorf("sessionstore: list: %w", err)
	}
	page.Tag, page.All = tag, false
	return m.list(ctx, "", page)
}

// tagError returns a *ValueError for the zero Tag, which no session has.
func tagError(tag Tag) error {
	if tag == (Tag{}) {
		return &ValueError{Key: "tag", Problem: "is the zero Tag: make it with NewTag"}
	}
	return nil
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
