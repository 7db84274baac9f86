package session

import "github.com/reporadar/pgsession/adapters/gorillastore"

func newStore(keys ...[]byte) *gorillastore.Store {
	return gorillastore.New(manager().Store(), keys...)
}
