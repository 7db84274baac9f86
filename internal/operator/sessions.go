package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/reporadar/pgsession/sessionstore"
)

const (
	// maxLimit is ten pages: each of all sessions reads the table.
	maxLimit = 10_000
	maxPage  = 1000
	// maxUser is how many bytes a user id has at most.
	maxUser = 256
)

func checkSessions(o *options) error {
	if err := o.onlyOne("sessions", "user", "handle", "all"); err != nil {
		return err
	}
	if o.limit < 1 || o.limit > maxLimit {
		return fmt.Errorf("-limit must be 1 to %d", maxLimit)
	}
	if o.has("handle") {
		return checkHandle(o.handle)
	}
	return checkUser(o)
}

// checkUser returns an error for a user id that no session can have.
func checkUser(o *options) error {
	problem := ""
	switch {
	case !o.has("user"):
	case o.user == "":
		problem = "is empty"
	case len(o.user) > maxUser:
		problem = fmt.Sprintf("is longer than %d bytes", maxUser)
	case !utf8.ValidString(o.user):
		problem = "is not valid UTF-8"
	}
	if problem != "" {
		return fmt.Errorf("-user %s: give the id that the application passes to Login", problem)
	}
	return nil
}

// sessionJSON is a session in the output of sessions -json.
type sessionJSON struct {
	sessionstore.Info

	Device string `json:"device"`
	// AuthenticatedAt takes the place of the one of Info, which before a login
	// would be a date.
	AuthenticatedAt time.Time `json:"authenticated_at,omitzero"`
	// PendingUserID is whose login is not completed.
	PendingUserID string `json:"pending_user_id,omitempty"`
}

// sessions lists the live sessions of a user, of all, or the one of a handle.
func sessions(ctx context.Context, c *call) error {
	i, err := c.openToRead(ctx)
	if err != nil {
		return err
	}
	defer i.close()
	var infos []sessionstore.Info
	more := false
	switch {
	case c.has("handle"):
		f, err := i.find(ctx, c.handle)
		if err != nil {
			return err
		}
		if infos, err = i.info(ctx, f); err != nil {
			return err
		}
		if len(infos) == 0 || string(infos[0].Handle) != c.handle {
			return noSession(c.handle)
		}
	case c.has("user"), c.has("all"):
		if infos, more, err = i.newest(ctx, c.user, c.limit); err != nil {
			return err
		}
	default:
		return errNoSelection
	}
	pending, err := i.pendingUsers(ctx, infos)
	if err != nil {
		return err
	}
	if i.standby != nil { // whose rows have no time
		for n := range infos {
			infos[n].ReadAt = i.standby.now
		}
	}
	if c.json {
		return c.printSessionsJSON(i, infos, pending, more)
	}
	return c.printSessions(infos, pending, more)
}

// pendingUsers returns by their handles the users of the logins that are not
// completed.
func (i *installation) pendingUsers(
	ctx context.Context, infos []sessionstore.Info,
) (map[sessionstore.Handle]string, error) {
	var handles []string
	for _, info := range infos {
		if info.Pending {
			handles = append(handles, string(info.Handle))
		}
	}
	users := make(map[sessionstore.Handle]string, len(handles))
	if len(handles) == 0 {
		return users, nil
	}
	rows, err := i.pool.Query(ctx, i.inSchema(pendingSearch), handles)
	if err != nil {
		return nil, err
	}
	var handle, user string
	_, err = pgx.ForEachRow(rows, []any{&handle, &user}, func() error {
		users[sessionstore.Handle(handle)] = user
		return nil
	})
	return users, err
}

// pendingSearch reads the logins that are not completed.
var pendingSearch = `
	SELECT p.handle, p.pending_user_id FROM (
		SELECT ` + handleInSQL + ` AS handle, s.pending_user_id
		FROM pgsession.sessions AS s WHERE s.pending_user_id IS NOT NULL
	) AS p
	WHERE p.handle OPERATOR(pg_catalog.=) ANY ($1::text[])`

// newest returns the newest sessions of a user, or of all users, and whether
// there are more.
func (i *installation) newest(
	ctx context.Context, userID string, limit int,
) (all []sessionstore.Info, more bool, err error) {
	var page sessionstore.Page
	for {
		page.Max = min(maxPage, limit+1-len(all))
		var infos []sessionstore.Info
		if userID == "" {
			infos, err = i.ListAll(ctx, page)
		} else {
			infos, err = i.List(ctx, userID, page)
		}
		if err != nil {
			return all, false, err
		}
		if len(infos) == 0 {
			return all, false, nil
		}
		if all = append(all, infos...); len(all) > limit {
			return all[:limit], true, nil
		}
		page = infos[len(infos)-1].Next()
	}
}

func (c *call) printSessionsJSON(
	i *installation, infos []sessionstore.Info, pending map[sessionstore.Handle]string, more bool,
) error {
	list := make([]sessionJSON, len(infos))
	for n, info := range infos {
		list[n] = sessionJSON{
			info, info.Device().String(), info.AuthenticatedAt, pending[info.Handle],
		}
	}
	return json.NewEncoder(c.out).Encode(struct {
		Sessions []sessionJSON `json:"sessions"`
		More     bool          `json:"more"`
		Standby  *standby      `json:"standby,omitempty"`
	}{list, more, i.standby})
}

func (c *call) printSessions(
	infos []sessionstore.Info, pending map[sessionstore.Handle]string, more bool,
) error {
	if len(infos) == 0 {
		_, _ = fmt.Fprintln(c.out, "no live session")
		return nil
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table,
		"HANDLE\tUSER\tDEVICE\tADDRESS\tBEGAN (UTC)\tLAST SEEN\tEXPIRES\tLEVEL\tMETHODS")
	for _, info := range infos {
		address := ""
		if info.IP.IsValid() {
			address = info.IP.String()
		}
		names := make([]string, len(info.Methods))
		for i, m := range info.Methods {
			names[i] = printable(m.Name)
		}
		user := printable(info.UserID)
		if info.Pending {
			user = printable(pending[info.Handle]) + " (login not completed)"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			info.Handle, user, printable(info.Device().String()), address, clock(info.CreatedAt),
			clock(info.LastSeenAt), clock(info.ExpiresAt), info.Level, strings.Join(names, ","))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more {
		_, _ = fmt.Fprintf(c.progress, "there are more: -limit %d\n", min(10*c.limit, maxLimit))
	}
	return nil
}

func clock(t time.Time) string { return t.UTC().Format(time.DateTime) }

// printable quotes a text with characters that a terminal would obey.
func printable(text string) string {
	obeyed := func(r rune) bool { return !unicode.IsPrint(r) }
	if !utf8.ValidString(text) || strings.IndexFunc(text, obeyed) >= 0 {
		return strconv.Quote(text)
	}
	return text
}
