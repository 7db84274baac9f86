package contestant

import (
	"context"

	"github.com/alexedwards/scs/v2"

	"github.com/reporadar/pgsession/bench/internal/rows"
)

// scsLogin does what the middleware of scs and a handler do in a login.
type scsLogin struct {
	manager *scs.SessionManager
	token   string
}

func newSCSLogin(ctx context.Context, m *scs.SessionManager) (Login, error) {
	ctx, err := m.Load(ctx, "")
	if err != nil {
		return nil, err
	}
	for key, value := range rows.Values(0) {
		m.Put(ctx, key, value)
	}
	token, _, err := m.Commit(ctx)
	return &scsLogin{manager: m, token: token}, err
}

func (l *scsLogin) Login(ctx context.Context, user string) error {
	ctx, err := l.manager.Load(ctx, l.token)
	if err != nil {
		return err
	}
	if err := l.manager.RenewToken(ctx); err != nil {
		return err
	}
	l.manager.Put(ctx, "name", user)
	l.token, _, err = l.manager.Commit(ctx)
	return err
}

func (l *scsLogin) User(ctx context.Context) (string, error) {
	ctx, err := l.manager.Load(ctx, l.token)
	if err != nil {
		return "", err
	}
	return l.manager.GetString(ctx, "name"), nil
}
