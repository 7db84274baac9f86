package otelsession

import (
	"context"
	"errors"

	"github.com/reporadar/pgsession/sessionstore"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// outcome is the result of a call. failed is the error.type, or "" for success.
type outcome struct{ result, failed string }

// answers are errors that are results and no failures. The first that matches
// counts.
var answers = []struct {
	err    error
	result string
}{
	{store.ErrExpired, "expired"},
	{sessionstore.ErrNotFound, "not_found"},
	{store.ErrExists, "exists"},
	{sessionstore.ErrTooManySessions, "too_many_sessions"},
	{sessionstore.ErrRevoked, "revoked"},
	{sessionstore.ErrNoPendingLogin, "no_pending_login"},
}

// failures are the values of error.type. The first that matches counts.
var failures = []struct {
	err      error
	typeName string
}{
	{sessionstore.ErrOutcomeUnknown, "outcome_unknown"},
	{context.Canceled, "canceled"},
	{context.DeadlineExceeded, "timeout"},
	{sessionstore.ErrUnavailable, "unavailable"},
	{store.ErrConstraint, "constraint"},
}

func outcomeOf(c sessionstore.Call, r sessionstore.CallResult) outcome {
	switch {
	case r.Cache == store.CacheUnavailable, r.Cache == store.CacheFailed:
		return outcome{string(r.Cache), "unavailable"}
	case c.Layer == store.LayerCache:
		return outcome{result: string(r.Cache)}
	case r.Err == nil:
		return outcome{result: "ok"}
	}
	for _, answer := range answers {
		if errors.Is(r.Err, answer.err) {
			return outcome{result: answer.result}
		}
	}
	o := outcome{result: "failed", failed: "_OTHER"}
	for _, failure := range failures {
		if errors.Is(r.Err, failure.err) {
			o.failed = failure.typeName
			break
		}
	}
	return o
}
