package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/internal/gen"
)

// right is a right that the role of an application needs.
type right struct {
	privilege  string
	object     string   // "sessions", "prune_batch"; empty for the schema
	columns    []string // empty for all
	statements []string // those that fail without it
}

// RunRoles is what gives a role its rights.
const RunRoles = "run `migrate ops roles | psql`"

// rights lists all that the library's statements need. db/ops/roles.sql grants
// them to pgsession_app.
var rights = []right{
	{"USAGE", "", nil, []string{"every statement"}},
	{"SELECT", "sessions", nil, []string{
		"SessionLoad", "SessionLoadMany", "SessionMissing", "SessionCreate", "SessionCreateMany",
		"SessionSave", "SessionSaveMany", "SessionRotate", "SessionRotateMany",
		"SessionPending", "SessionTags", "SessionLifetime", "SessionDelete",
		"SessionDeleteFree", "SessionTouch", "ExpiryCount", "ExpiryEstimate",
		"EventDelete", "EventDeleteFree",
		"OwnerList", "TagList", "AllList", "OwnerCount", "OwnerAlive", "OwnerFind", "OwnerRevoke",
		"OwnerRevokeHandle", "OwnerHasHandle", "OwnerRevokeFound", "OwnerTrim",
		"AllFind", "AllRevokeFound", "AllRevoke",
		"DistributedTouch", "DistributedDelete", "DistributedRevoke", "DistributedRevokeHandle",
		"DistributedRevokeAll", "DistributedOwner", "DistributedOwnerLocked", "DistributedTrim",
		"DistributedRow", "DistributedListed", "DistributedRevokeOne",
		"DistributedExpired", "DistributedSample", "DistributedMissing",
	}},
	{"INSERT", "sessions", nil, []string{
		"SessionCreate", "SessionCreateMany", "SessionRotate", "SessionRotateMany",
	}},
	{
		"UPDATE", "sessions",
		[]string{
			"version", "last_seen_at", "expires_at", "absolute_expires_at", "authenticated_at",
			"user_id", "ip", "user_agent", "data", "pending_since", "login_id",
			"pending_user_id", "methods", "tags",
		},
		[]string{
			"SessionSave", "SessionSaveMany", "SessionRotateMany", "SessionLifetime",
			"SessionDeleteFree", "EventDeleteFree", "SessionTouch",
			"OwnerRevoke", "OwnerRevokeFound", "OwnerTrim",
			"AllRevokeFound", "AllRevoke", "DistributedTouch", "DistributedOwnerLocked",
		},
	},
	{"DELETE", "sessions", nil, []string{
		"SessionRotate", "SessionRotateMany", "SessionDelete", "SessionDeleteFree",
		"EventDelete", "EventDeleteFree",
		"OwnerRevoke", "OwnerRevokeHandle", "OwnerRevokeFound", "OwnerTrim",
		"AllRevokeFound", "AllRevoke",
		"DistributedDelete", "DistributedRevoke", "DistributedRevokeHandle",
		"DistributedRevokeAll", "DistributedTrim", "DistributedRevokeOne", "SessionCreateMany",
	}},
	{"SELECT", "marks", nil, []string{
		"MarkAdd", "EventMark", "MarkLook",
		"SessionCreateMany", "SessionSaveMany", "SessionRotateMany",
	}},
	{"INSERT", "marks", []string{"id", "key"}, []string{"MarkAdd", "EventMark"}},
	{"SELECT", "endings", nil, []string{
		"SessionMissing", "SessionDelete", "SessionDeleteFree", "OwnerRevokeHandle", "OwnerTrim",
		"EventDelete", "EventDeleteFree",
	}},
	{"INSERT", "endings", []string{"id", "reason"}, []string{
		"SessionDelete", "SessionDeleteFree", "OwnerRevokeHandle", "OwnerTrim",
		"EventDelete", "EventDeleteFree",
	}},
	{"SELECT", "locks", nil, []string{"OwnerLock", "OwnerLocks", "DistributedLockAll"}},
	{"UPDATE", "locks", []string{"n"}, []string{
		"OwnerLock", "DistributedLockAll",
	}},
	{"INSERT", "locks", []string{"n"}, []string{"OwnerLocks"}},
	{"SELECT", "user_sessions", nil, []string{
		"DistributedEnter", "DistributedEntries", "DistributedForget",
	}},
	{"INSERT", "user_sessions", nil, []string{"DistributedEnter"}},
	{"UPDATE", "user_sessions", []string{"written_at", "expires_at"}, []string{"DistributedEnter"}},
	{"DELETE", "user_sessions", nil, []string{"DistributedForget"}},
	{"SELECT", "events", nil, []string{"EventPage"}},
	{
		"INSERT", "events",
		[]string{
			"kind", "user_id", "session", "login_id", "level", "ip", "user_agent", "methods",
			"reason", "actor", "detail", "count",
		},
		[]string{"EventAdd", "EventMark", "EventDelete", "EventDeleteFree"},
	},
	{"SELECT", "prune_state", nil, []string{"ExpiryLastPrune"}},
	{"EXECUTE", "idle_deadline", nil, []string{
		"SessionCreate", "SessionCreateMany", "SessionSave", "SessionSaveMany",
		"SessionRotate", "SessionRotateMany", "SessionLifetime", "SessionTouch",
		"DistributedTouch",
	}},
	{"EXECUTE", "methods_now", nil, []string{
		"SessionCreate", "SessionCreateMany", "SessionSave", "SessionSaveMany", "SessionRotate",
		"SessionRotateMany",
	}},
	{"EXECUTE", "prune_batch", nil, []string{"ExpiryPrune"}},
	{"EXECUTE", "count_expired", nil, []string{"ExpiryEstimate"}},
}

// MissingRights returns the grants that the role of a connection lacks for the
// library's statements, each with the statements that fail without it. It
// returns "" if none is missing, or if the query fails. The error of the
// refused statement can't be parsed for that: it comes in many languages.
func MissingRights(ctx context.Context, db gen.DBTX, schemaName string) string {
	rows, err := gen.New().CatalogRights(ctx, db, schemaName)
	if err != nil {
		return ""
	}
	held := make(map[[2]string]bool, len(rows))
	role := ""
	for _, row := range rows {
		held[[2]string{row.Privilege, row.Object}] = row.Held
		if row.Privilege == "ROLE" {
			role = pgx.Identifier{row.Object}.Sanitize()
		}
	}
	var missing []string
	for _, r := range rights {
		if grant := r.grant(schemaName, held); grant != "" {
			missing = append(missing,
				fmt.Sprintf("%s TO %s (for %s)", grant, role, strings.Join(r.statements, ", ")))
		}
	}
	return strings.Join(missing, "; ")
}

// grant returns the begin of the statement that grants what is not held of a
// right, "" if all is held.
func (r right) grant(schemaName string, held map[[2]string]bool) string {
	if len(r.columns) > 0 {
		lacks := slices.DeleteFunc(slices.Clone(r.columns), func(column string) bool {
			return held[[2]string{r.privilege, r.object + "." + column}]
		})
		if len(lacks) == 0 {
			return ""
		}
		return fmt.Sprintf("GRANT %s (%s) ON %s.%s",
			r.privilege, strings.Join(lacks, ", "), schemaName, r.object)
	}
	if held[[2]string{r.privilege, r.object}] {
		return ""
	}
	switch r.privilege {
	case "USAGE":
		return "GRANT USAGE ON SCHEMA " + schemaName
	case "EXECUTE":
		return "GRANT EXECUTE ON FUNCTION " + schemaName + "." + r.object
	default:
		return fmt.Sprintf("GRANT %s ON %s.%s", r.privilege, schemaName, r.object)
	}
}
