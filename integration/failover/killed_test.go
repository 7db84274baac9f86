package failover_test

import (
	"slices"
	"testing"
	"time"
)

// killed kills the primary. With synchronous replication no acknowledged change
// is lost. Without it, changes that had not reached the standby are lost, and
// the test prints how many. In both cases no refused change is made.
func killed(t *testing.T, p *pair, commit string) {
	url := p.url(p.primary, p.standby, readWrite)
	if commit != "" {
		url += "&synchronous_commit=" + commit
	}
	store := storeOn(t, url, timeout)
	var total reckoning
	var fromKill, fromPromotion, fromWritable, promotion, all []time.Duration
	for range *rounds {
		if commit != "" {
			p.synchronous()
		}
		load := start(t, store)
		load.more(t, 1000)

		var killed time.Time
		p.primary.kill(func() { killed = load.mark() })
		asked := time.Now()
		p.standby.promote()
		writable := time.Now()
		dead := p.swapped()
		first, last := load.recovered(t)
		load.more(t, 500)
		load.end()

		fromKill = append(fromKill, first)
		fromPromotion = append(fromPromotion, max(0, first-asked.Sub(killed)))
		fromWritable = append(fromWritable, max(0, first-writable.Sub(killed)))
		promotion = append(promotion, writable.Sub(asked))
		all = append(all, last)
		total = total.add(reckon(t, p.primary, load.ledgers))
		p.renew(dead)
	}
	if total.madeAfterAll > 0 || total.lost() > 0 && commit != "" {
		t.Errorf("%v", total)
	}
	t.Logf("%d rounds: %v", *rounds, total)
	t.Logf("time to the first success: from the kill %s; from the promotion %s; from its end %s; the promotion itself took %s",
		spread(fromKill), spread(fromPromotion), spread(fromWritable), spread(promotion))
	t.Logf("time from the kill until each of the %d callers had a success: %s", callers,
		spread(all))
}

// spread returns the median and the worst.
func spread(d []time.Duration) string {
	d = slices.Sorted(slices.Values(d))
	return "median " + d[len(d)/2].Round(time.Millisecond).String() + ", worst " +
		d[len(d)-1].Round(time.Millisecond).String()
}
