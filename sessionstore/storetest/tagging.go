package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// tagged creates a session of a user with tags.
func (h *harness) tagged(userID string, tags ...store.Tag) store.Record {
	h.Helper()
	return h.draft(store.Draft{UserID: userID, Tags: tags})
}

// newTag returns a tag that no other case has.
func (h *harness) newTag(kind string) store.Tag {
	return store.NewTag(kind, string(h.newID().Handle()))
}

// hasTag checks which sessions have a tag.
func (h *harness) hasTag(what string, tag store.Tag, want ...store.ID) {
	h.Helper()
	recs, err := h.peer.List(h.ctx, "", store.Page{Tag: tag})
	if err != nil {
		h.Fatalf("List: %v", err)
	}
	got := make([]store.ID, len(recs))
	for i := range recs {
		got[i] = recs[i].ID
	}
	h.equal(what+": sessions with the tag", sorted(got), sorted(want))
}

var tagging = []testCase{
	{
		name: "a list by tag shows its live sessions, the newest first, in pages",
		why:  "List with Page.Tag is a list of the live sessions with this tag",
		run: func(h *harness) {
			tag, other := h.newTag("org"), h.newTag("org")
			want := make([]store.ID, 5)
			for i := range want {
				want[i] = h.tagged(fmt.Sprint("ada", i), tag, h.newTag("device")).ID
				h.age(want[i], time.Duration(i)*time.Hour)
			}
			h.tagged("ada", other)
			h.tagged("ada")
			h.age(h.tagged("ada", tag).ID, h.expiry.Absolute)
			h.delete(h.tagged("ada", tag).ID)
			for _, size := range []int{0, 1, 2, 5} {
				var got []store.ID
				for page := (store.Page{Tag: tag, Max: size}); ; {
					recs, err := h.peer.List(h.ctx, "", page)
					if err != nil {
						h.Fatalf("List: %v", err)
					}
					if len(recs) == 0 {
						break
					}
					for _, rec := range recs {
						got = append(got, rec.ID)
						h.equal("bytes of Data", len(rec.Data), 0)
					}
					last := recs[len(recs)-1]
					page.Before, page.After = last.CreatedAt, last.ID
				}
				h.equal(fmt.Sprintf("pages of %d", size), fmt.Sprint(got), fmt.Sprint(want))
			}
		},
	},
	{
		name: "a login in each way has its tags",
		why:  "each login writes its tags, also one that counts the user's sessions",
		run: func(h *harness) {
			for what, login := range map[string]func(tag store.Tag, limit int) store.ID{
				"Create": func(tag store.Tag, limit int) store.ID {
					return h.draft(store.Draft{
						UserID: "ada", Tags: []store.Tag{tag}, MaxSessions: limit,
					}).ID
				},
				"Save": func(tag store.Tag, limit int) store.ID {
					return h.save(h.create("").ID, store.Change{
						UserID: "ada", Tags: []store.Tag{tag}, MaxSessions: limit,
					}).ID
				},
				"Rotate": func(tag store.Tag, limit int) store.ID {
					return h.rotate(h.create("").ID, store.Change{
						UserID: "ada", Tags: []store.Tag{tag}, MaxSessions: limit,
					}).ID
				},
				"pending": func(tag store.Tag, _ int) store.ID {
					return h.rotate(h.create("").ID, store.Change{
						PendingUserID: "ada", Tags: []store.Tag{tag},
					}).ID
				},
				"pending, Create": func(tag store.Tag, _ int) store.ID {
					return h.draft(store.Draft{PendingUserID: "ada", Tags: []store.Tag{tag}}).ID
				},
			} {
				for _, limit := range []int{0, 100} {
					tag := h.newTag("sid")
					id := login(tag, limit)
					h.hasTag(fmt.Sprint(what, ", limit ", limit), tag, id)
				}
			}
		},
	},
	{
		name: "what is no login keeps the tags, and a login replaces them",
		why:  "a rotation copies the tags: it hides no session from a revoke",
		run: func(h *harness) {
			tag, next := h.newTag("sid"), h.newTag("sid")
			a := newAuthentication(password)
			rec := h.draft(store.Draft{UserID: "ada", LoginID: a.id, Tags: []store.Tag{tag}})
			ignored := store.Change{Tags: []store.Tag{next}}
			h.save(rec.ID, ignored)
			h.touch(rec.ID)
			h.hasTag("save", tag, rec.ID)
			rec = h.rotate(rec.ID, ignored)
			h.hasTag("rotation", tag, rec.ID)
			rec = h.rotate(rec.ID, store.Change{
				StepUp: true, LoginID: a.id, Methods: []store.Method{totp},
			})
			h.hasTag("step-up", tag, rec.ID)
			h.hasTag("a change without a login", next)
			rec = h.save(rec.ID, store.Change{UserID: "ada", Tags: []store.Tag{next}})
			h.hasTag("login", tag)
			h.hasTag("login, its own", next, rec.ID)
			rec = h.rotate(rec.ID, store.Change{UserID: "ada"})
			h.hasTag("login without tags", next)
		},
	},
	{
		name: "a completion keeps the tags of the pending login and adds its own",
		why:  "a completed login rests on both factors, so it has the tags of both",
		run: func(h *harness) {
			first, second := h.newTag("sid"), h.newTag("passkey")
			rec := h.rotate(h.create("").ID, store.Change{
				PendingUserID: "ada", Tags: []store.Tag{first},
			})
			c := completes("ada")
			c.Tags = []store.Tag{second, first}
			rec = h.rotate(rec.ID, c)
			h.hasTag("first", first, rec.ID)
			h.hasTag("second", second, rec.ID)
		},
	},
	{
		name: "a revoke by tag ends its sessions of all users",
		why:  "Selection.Tag ends all sessions with the tag but Except, also pending ones",
		run: func(h *harness) {
			tag := h.newTag("org")
			adas, bobs := h.tagged("ada", tag), h.tagged("bob", h.newTag("sid"), tag)
			waiting := h.draft(store.Draft{PendingUserID: "eve", Tags: []store.Tag{tag}})
			spared := h.tagged("eve", tag)
			other := h.tagged("ada", h.newTag("org"))
			h.revokeEnds(store.Selection{Tag: h.newTag("org")})
			h.revokeEnds(store.Selection{}) // the zero tag is that of no session
			h.revokeEnds(store.Selection{Tag: tag, Except: spared.ID}, adas.ID, bobs.ID, waiting.ID)
			h.ended(bobs.ID)
			h.ended(waiting.ID)
			h.hasTag("left", tag, spared.ID)
			h.load(other.ID)
			h.revokeEnds(store.Selection{Tag: tag}, spared.ID)
		},
	},
	{
		name: "a login that began before a revoke of its tag is refused",
		why:  "a logout by an identity provider may come while its login is under way",
		run: func(h *harness) {
			tag := h.newTag("sid")
			began := store.BeganHere(time.Now().Add(-time.Minute))
			own := store.NewMarkID()
			h.revoke(store.Selection{Tag: tag, Mark: own})
			for _, limit := range []int{0, 100} {
				c := store.Change{
					UserID: "ada", Tags: []store.Tag{h.newTag("org"), tag}, Began: began,
					MaxSessions: limit,
				}
				id := h.newID()
				_, err := h.store.Create(h.ctx, store.Draft{
					ID: id, UserID: "ada", Tags: c.Tags, Began: began, MaxSessions: limit,
				})
				h.wantRevoked("Create", id, err)
				_, err = h.store.Rotate(h.ctx, h.create("").ID, id, c)
				h.wantRevoked("Rotate", id, err)
				visitor := h.create("").ID
				_, err = h.store.Save(h.ctx, visitor, c)
				h.wantRevoked("Save", visitor, err)
				for what, let := range map[string]store.Draft{
					"another tag": {Tags: c.Tags[:1], Began: began},
					"its own":     {Tags: c.Tags, Began: store.BeganHere(time.Now(), own)},
					"no tag":      {Began: began},
				} {
					let.ID, let.UserID, let.MaxSessions = h.newID(), "ada", limit
					if _, err := h.store.Create(h.ctx, let); err != nil {
						h.Errorf("login with the mark of %s: %v", what, err)
					}
				}
			}
			pending := store.Change{PendingUserID: "ada", Tags: []store.Tag{tag}, Began: began}
			id := h.newID()
			_, err := h.store.Rotate(h.ctx, h.create("").ID, id, pending)
			h.wantRevoked("pending login", id, err)
		},
	},
	{
		name: "a revoke of its tag refuses the completion of a pending login",
		why:  "a completed login began with its first factor, so a later mark refuses it",
		run: func(h *harness) {
			for i, what := range []string{"first", "second"} {
				first, second := h.newTag("sid"), h.newTag("passkey")
				tag := []store.Tag{first, second}[i]
				rec := h.rotate(h.create("").ID, store.Change{
					PendingUserID: "ada", Tags: []store.Tag{first},
				})
				h.age(rec.ID, time.Second)
				h.revoke(store.Selection{Tag: tag, Except: rec.ID})
				c, id := completes("ada"), h.newID()
				c.Tags = []store.Tag{second}
				_, err := h.store.Rotate(h.ctx, rec.ID, id, c)
				h.wantRevoked("completion after a revoke of the tag of the "+what, id, err)
			}
		},
	},
}

// wantRevoked checks that a login was refused and has left no session.
func (h *harness) wantRevoked(what string, id store.ID, err error) {
	h.Helper()
	if !errors.Is(err, store.ErrRevoked) {
		h.Errorf("%s: %v, want ErrRevoked", what, err)
	}
	h.notLoggedIn(id)
}
