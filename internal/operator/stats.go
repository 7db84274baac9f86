package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/reporadar/pgsession/sessionstore"
)

// stats counts the sessions.
func stats(ctx context.Context, c *call) error {
	i, err := c.openToRead(ctx)
	if err != nil {
		return err
	}
	defer i.close()
	count := i.Estimate
	if c.exact {
		count = i.Stats
	}
	s, err := count(ctx)
	if err != nil {
		return err
	}
	if c.json {
		return json.NewEncoder(c.out).Encode(struct {
			sessionstore.Stats

			Standby *standby `json:"standby,omitempty"`
		}{s, i.standby})
	}
	return printStats(c.out, s)
}

// printStats prints the counts for a reader.
func printStats(out io.Writer, s sessionstore.Stats) error {
	how, most, least := "estimated: -exact counts", "", ""
	switch {
	case s.Exact:
		how = "counted"
	case s.Capped:
		most, least = "at most ", "at least "
	}
	pruned := "never"
	if !s.LastPruneAt.IsZero() {
		age := s.CountedAt.Sub(s.LastPruneAt).Round(time.Second)
		pruned = fmt.Sprintf("%s UTC, %v ago", clock(s.LastPruneAt), age)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "alive\t%s%d\t%s\n", most, s.Active, how)
	_, _ = fmt.Fprintf(table, "expired, not pruned yet\t%s%d\nlast prune\t%s\n", least, s.Expired,
		pruned)
	return table.Flush()
}
