package sessions

import (
	"net/http"

	"github.com/gorilla/sessions"

	"github.com/reporadar/pgsession/adapters/gorillastore"
)

// Session is that of gorilla/sessions.
type Session = sessions.Session

var (
	// NewSession is that of gorilla/sessions.
	NewSession = sessions.NewSession
	// Save is that of gorilla/sessions.
	Save = sessions.Save
)

// NewCookieStore returns the library's store, with the options of a
// CookieStore.
func NewCookieStore(keys ...[]byte) *gorillastore.Store {
	s := gorillastore.New(manager().Store(), keys...)
	s.Options.SameSite, s.Options.Secure = http.SameSiteNoneMode, true
	return s
}

// FilesystemStore is the library's store.
type FilesystemStore struct{ *gorillastore.Store }

// MaxLength does nothing.
func (FilesystemStore) MaxLength(int) {}

// NewFilesystemStore returns the library's store.
func NewFilesystemStore(_ string, keys ...[]byte) FilesystemStore {
	return FilesystemStore{gorillastore.New(manager().Store(), keys...)}
}
