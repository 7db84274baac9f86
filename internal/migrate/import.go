package migrate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/reporadar/pgsession/internal/pgsimple"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// importing are the flags of import as they were given.
type importing struct {
	table, users, zone, idle, absolute string
	batch                              int
}

func (i *importing) flags(f *flag.FlagSet) {
	f.StringVar(&i.table, "table", "public.session", "")
	f.StringVar(&i.users, "user", "userId,passport.user", "")
	f.StringVar(&i.zone, "zone", "", "")
	f.StringVar(&i.idle, "idle", "", "")
	f.StringVar(&i.absolute, "absolute", "", "")
	f.IntVar(&i.batch, "batch", 0, "")
}

var importFlags = []string{"dry-run", "table", "user", "zone", "idle", "absolute", "batch"}

// progressInterval is the time between two lines of progress.
const progressInterval = 5 * time.Second

// prepareImport reads the flags of import, and the timeouts of the application.
func prepareImport(o *options, env func(string) string) error {
	if o.object != "express" {
		return fmt.Errorf("import %q is unknown: it can import express", o.object)
	}
	i := &o.importing
	table, err := pgsimple.ParseTable(i.table)
	if err != nil {
		return err
	}
	o.source = pgsimple.Options{
		Schema: o.schema, Table: table, Zone: i.zone, Batch: i.batch, DryRun: o.dryRun,
	}
	if i.users != "none" {
		for path := range strings.SplitSeq(i.users, ",") {
			if path = strings.TrimSpace(path); path == "" {
				return errors.New("-user: a path is empty: write none if no user logs in")
			}
			o.source.Users = append(o.source.Users, path)
		}
	}
	o.source.Expiry, err = i.expiry(env)
	return err
}

// Defaults of the application's timeouts, see sessionstore.Config.
const (
	defaultIdle     = 7 * 24 * time.Hour
	defaultAbsolute = 30 * 24 * time.Hour
	maxTimeout      = 400 * 24 * time.Hour
)

// expiry reads the timeouts as the application does. A profile has others,
// which only the application can compute.
func (i *importing) expiry(env func(string) string) (e store.Expiry, err error) {
	idle, absolute := i.idle, i.absolute
	if idle == "" {
		idle = strings.TrimSpace(env("SESSION_TIMEOUT"))
	}
	if absolute == "" {
		absolute = strings.TrimSpace(env("SESSION_ABSOLUTE_TIMEOUT"))
	}
	profile := strings.TrimSpace(env("SESSION_PROFILE"))
	if profile != "" && !strings.EqualFold(profile, "none") && (idle == "" || absolute == "") {
		return e, errors.New("SESSION_PROFILE sets the timeouts of the application: give them as" +
			" -idle and -absolute")
	}
	if e.Idle, err = timeout("-idle or SESSION_TIMEOUT", idle, defaultIdle); err != nil {
		return e, err
	}
	e.Absolute, err = timeout("-absolute or SESSION_ABSOLUTE_TIMEOUT", absolute,
		max(defaultAbsolute, e.Idle))
	if err == nil && e.Absolute < e.Idle {
		err = errors.New("the absolute timeout is shorter than the idle one")
	}
	return e, err
}

// timeout reads a number of milliseconds, or a duration of Go.
func timeout(name, text string, byDefault time.Duration) (time.Duration, error) {
	if text == "" {
		return byDefault, nil
	}
	d, err := time.ParseDuration(text)
	if ms, msErr := strconv.ParseInt(text, 10, 64); msErr == nil {
		d, err = time.Duration(min(ms, 1+maxTimeout.Milliseconds()))*time.Millisecond, nil
	}
	if err != nil || d < time.Second || d > maxTimeout {
		return 0, fmt.Errorf("%s: must be 1 s to 400 days, as a duration such as 168h or a number"+
			" of milliseconds", name)
	}
	return d, nil
}

// importExpress moves the sessions of connect-pg-simple here.
func importExpress(ctx context.Context, c call) error {
	o := c.source
	o.Logger = c.logger
	last := time.Now()
	o.Progress = func(r pgsimple.Result) {
		if time.Since(last) < progressInterval {
			return
		}
		last = time.Now()
		_, _ = fmt.Fprintf(c.progress, "%s: %d so far, %d expired, %d rows/s\n",
			verb(o.DryRun), r.Moved, r.Expired, r.PerSecond())
	}
	r, err := pgsimple.Import(ctx, c.pool, o)
	if err == nil || r.PerSecond() > 0 {
		printResult(c.out, r, o.DryRun)
	}
	return err
}

func verb(dryRun bool) string {
	if dryRun {
		return "would move"
	}
	return "moved"
}

// printResult prints what became of how many rows.
func printResult(out io.Writer, r pgsimple.Result, dryRun bool) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(n int, what string) {
		if n > 0 {
			_, _ = fmt.Fprintf(table, "%d\t  %s\n", n, what)
		}
	}
	_, _ = fmt.Fprintf(table, "%d\t  %s, %d of them with a user\n", r.Moved, verb(dryRun), r.Users)
	line(r.Here, "were here already")
	line(r.Ended, "were ended here already")
	line(r.Revoked, "left: a revoke of the user or of all users is later than the login may be")
	line(r.Expired, "left: expired")
	line(r.Empty, "left: no user and no value")
	line(r.Bad, "left: can't be moved, see the warnings")
	line(r.Locked, "left: locked by another transaction, or ended meanwhile")
	_ = table.Flush()
	_, _ = fmt.Fprintf(out, "%d rows/s in %s\n", r.PerSecond(), r.Took.Round(time.Millisecond))
}
