package sessionstore_test

import (
	"errors"
	"testing"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

func TestListAll(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.user("ada")
	site.user("eve")
	site.newcomer()
	users := map[string]int{}
	for page := (sessionstore.Page{Max: 2}); ; {
		infos, err := site.m.ListAll(t.Context(), page)
		site.check(err)
		if len(infos) == 0 {
			break
		}
		for _, info := range infos {
			users[info.UserID]++
		}
		page = infos[len(infos)-1].Next()
		page.Max = 2
	}
	expect(t, "of ada", users["ada"], 1)
	expect(t, "of eve", users["eve"], 1)
	expect(t, "of visitors", users[""], 1)

	// Page.All is of no use to the other lists
	infos, err := site.m.List(t.Context(), "ada", sessionstore.Page{All: true})
	expect(t, "List with Page.All", len(infos), 1)
	site.check(err)
	infos, err = site.m.ListTag(t.Context(), sessionstore.NewTag("org", "1"),
		sessionstore.Page{All: true})
	expect(t, "ListTag with Page.All", len(infos), 0)
	site.check(err)

	site.store.Down(store.OpList)
	_, err = site.m.ListAll(t.Context(), sessionstore.Page{})
	expect(t, "while the store is down", errors.Is(err, sessionstore.ErrUnavailable), true)
}
