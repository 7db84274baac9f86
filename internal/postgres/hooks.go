package postgres

import (
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// FailureWith is what the store makes of an SQLSTATE, after the first contact.
func FailureWith(code string) error {
	v := classify(&pgconn.PgError{Code: code}, true)
	return &failure{verdict: v, outage: v.outage(true), is: []error{store.ErrUnavailable}, text: code}
}
