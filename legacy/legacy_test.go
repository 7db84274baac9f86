package legacy_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/legacy"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Ids are in databases, and other programs compute them: a change would lose
// them.
func TestIDsAreFrozen(t *testing.T) {
	const (
		ofToken = "60bf07c488aad18fda339df07e4fbc47b4f00be71711936f18d04d352ad01890"
		ofHash  = "689460b3e220e2a284917106c6a21c78bd2c320129621049548aa0d8da4d0054"
	)
	for sid, want := range map[string]string{
		strings.Repeat("Z", 32): ofToken, "tCznnEIuDbiwHSWVYXhbmJR-OFDLBcSR-and-more": ofHash,
	} {
		id := legacy.ID(sid)
		if got := hex.EncodeToString(id[:]); got != want {
			t.Errorf("%s: %s", sid, got)
		}
	}
}

// fake is a store that has one session, or fails.
type fake struct {
	sid   string
	err   error
	ended []string
}

func (f *fake) Load(_ context.Context, sid string) (legacy.Session, error) {
	switch {
	case f.err != nil:
		return legacy.Session{}, f.err
	case sid != f.sid:
		return legacy.Session{}, store.ErrNotFound
	}
	return legacy.Session{UserID: "ada by " + f.sid}, nil
}

func (f *fake) End(_ context.Context, sid string) error {
	f.ended = append(f.ended, sid)
	return f.err
}

func TestChain(t *testing.T) {
	down := errors.New("down")
	for what, tt := range map[string]struct {
		first, second fake
		user          string
		err           error
	}{
		"none has it":        {fake{}, fake{}, "", store.ErrNotFound},
		"the first has it":   {fake{sid: "x"}, fake{}, "ada by x", nil},
		"the second has it":  {fake{}, fake{sid: "x"}, "ada by x", nil},
		"the first is down":  {fake{err: down}, fake{sid: "x"}, "", down},
		"the second is down": {fake{}, fake{err: down}, "", down},
		"the first can't read it": {
			fake{err: legacy.ErrUnreadable}, fake{sid: "x"}, "ada by x", nil,
		},
		"only the first has it, and can't read it": {
			fake{err: legacy.ErrUnreadable}, fake{}, "", legacy.ErrUnreadable,
		},
	} {
		chain := legacy.Chain(&tt.first, &tt.second)
		got, err := chain.Load(t.Context(), "x")
		if got.UserID != tt.user || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v", what, got.UserID, err)
		}
		err = chain.End(t.Context(), "x")
		if len(tt.first.ended) != 1 || len(tt.second.ended) != 1 {
			t.Errorf("%s: not each store ends it", what)
		}
		if failed := tt.first.err != nil || tt.second.err != nil; failed != (err != nil) {
			t.Errorf("%s: End: %v", what, err)
		}
	}
}
