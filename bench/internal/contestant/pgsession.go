package contestant

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/reporadar/pgsession/bench/internal/rows"
	"github.com/reporadar/pgsession/internal/postgres"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// Library is this library's store, with its default timeouts.
type Library struct {
	Store *postgres.Store
	pool  *pgxpool.Pool
}

var (
	_ Saver  = (*Library)(nil)
	_ Logins = (*Library)(nil)
)

// Expiry is the library's default.
var Expiry = store.Expiry{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}

// timeout is the library's default for each call.
const timeout = 5 * time.Second

// NewLibrary opens the library's store.
func NewLibrary(ctx context.Context, d *rows.Database) (*Library, error) {
	pool, err := d.Connect(ctx, rows.Connections)
	if err != nil {
		return nil, err
	}
	store := postgres.New(pool, Expiry, timeout)
	return &Library{Store: store, pool: pool}, nil
}

func (*Library) Name() string { return "pgsession" }

func (l *Library) Load(ctx context.Context, i int) error {
	_, err := l.Store.Load(ctx, rows.ID(i), 0)
	return err
}

func (l *Library) Payload(ctx context.Context, i int) ([]byte, error) {
	rec, err := l.Store.Load(ctx, rows.ID(i), 0)
	return rec.Data, err
}

func (l *Library) Save(ctx context.Context, i int, name string) error {
	_, err := l.Store.Save(ctx, rows.ID(i), store.Change{Set: quoted(name)})
	return err
}

func quoted(name string) map[string]json.RawMessage {
	return map[string]json.RawMessage{"name": json.RawMessage(`"` + name + `"`)}
}

// NewLogin begins with an anonymous session.
func (l *Library) NewLogin(ctx context.Context) (Login, error) {
	login := &libraryLogin{store: l.Store, id: newID()}
	_, err := l.Store.Create(ctx, store.Draft{ID: login.id, Data: rows.Payload(0)})
	return login, err
}

func (l *Library) Close() error {
	l.pool.Close()
	return nil
}

type libraryLogin struct {
	store *postgres.Store
	id    store.ID
}

// Login sends what a request with [sessionstore.Session.Login] sends.
func (l *libraryLogin) Login(ctx context.Context, user string) error {
	if _, err := l.store.Load(ctx, l.id, 0); err != nil {
		return err
	}
	id := newID()
	_, err := l.store.Rotate(ctx, l.id, id, store.Change{UserID: loginUser, Set: quoted(user)})
	l.id = id
	return err
}

// loginUser is constant, because data of one user is not passed to another.
const loginUser = "user"

func (l *libraryLogin) User(ctx context.Context) (string, error) {
	rec, err := l.store.Load(ctx, l.id, 0)
	if err != nil {
		return "", err
	}
	var values struct{ Name string }
	err = json.Unmarshal(rec.Data, &values)
	return values.Name, err
}
