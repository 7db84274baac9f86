package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"
)

// stats counts the sessions.
func stats(ctx context.Context, c *call) error {
	i, err := c.open(ctx)
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
		return json.NewEncoder(c.out).Encode(s)
	}
	how := "estimated: -exact counts"
	if s.Exact {
		how = "counted"
	}
	pruned := "never"
	if !s.LastPruneAt.IsZero() {
		age := s.CountedAt.Sub(s.LastPruneAt).Round(time.Second)
		pruned = fmt.Sprintf("%s UTC, %v ago", clock(s.LastPruneAt), age)
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "alive\t%d\t%s\n", s.Active, how)
	_, _ = fmt.Fprintf(table, "expired, not pruned yet\t%d\nlast prune\t%s\n", s.Expired, pruned)
	return table.Flush()
}
