package coherence

import (
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_999, time.UTC)
	if got := At(at); got != Time(at.UnixMicro()) {
		t.Errorf("At gave %d", got)
	}
	if got := At(at).Add(1500 * time.Millisecond).Until(
		At(at.Add(2 * time.Second))); got != 500*time.Millisecond {
		t.Errorf("got %v from a second and a half to two", got)
	}
}

func TestJudge(t *testing.T) {
	p := Policy{Freshness: 30 * time.Second, Grace: 10 * time.Second}
	e := Entry{Version: 5, ValidatedAt: 1_000_000, ExpiresAt: 3_000_000_000}
	at := func(d time.Duration) Bound { return Bound{Time: e.ValidatedAt.Add(d), Known: true} }
	brief := e
	brief.ExpiresAt = e.ValidatedAt.Add(time.Second)
	tests := map[string]struct {
		policy      Policy
		entry       Entry
		minVersion  int64
		now         Bound
		unavailable bool
		want        Verdict
	}{
		"fresh":             {p, e, 0, at(0), false, Fresh},
		"fresh to the last": {p, e, 5, at(30 * time.Second), false, Fresh},
		"stale": {
			p, e, 0, at(30*time.Second + time.Microsecond), false, Stale,
		},
		"validated later than now": {p, e, 0, at(-time.Second), false, Fresh},
		"grace in an outage":       {p, e, 0, at(40 * time.Second), true, Fresh},
		"beyond grace": {
			p, e, 0, at(40*time.Second + time.Microsecond), true, Stale,
		},
		"strict":              {Policy{}, e, 0, at(0), false, Strict},
		"strict has no grace": {Policy{Grace: time.Hour}, e, 0, at(0), true, Strict},
		"no clock":            {p, e, 0, Bound{Time: e.ValidatedAt}, false, ClockUnknown},
		"expired":             {p, brief, 0, at(time.Second), false, Expired},
		"not yet expired": {
			p, brief, 0, at(time.Second - time.Microsecond), false, Fresh,
		},
		"behind what the client saw":    {p, e, 6, at(0), false, BelowMinimum},
		"ahead of what the client saw":  {p, e, 4, at(0), false, Fresh},
		"expired comes before behind":   {p, brief, 6, at(time.Second), false, Expired},
		"strict comes before the clock": {Policy{}, e, 0, Bound{}, false, Strict},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.policy.Judge(test.entry, test.minVersion, test.now,
				test.unavailable); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestTTL(t *testing.T) {
	p := Policy{Freshness: 30 * time.Second, Grace: 10 * time.Second}
	e := Entry{ValidatedAt: 1_000_000}
	at := func(d time.Duration) Bound { return Bound{Time: e.ValidatedAt.Add(d), Known: true} }
	tests := map[string]struct {
		policy      Policy
		now         Bound
		fill, saved time.Duration
	}{
		"at once":            {p, at(0), 45 * time.Second, 45 * time.Second},
		"later":              {p, at(25 * time.Second), 20 * time.Second, 45 * time.Second},
		"no longer fresh":    {p, at(40 * time.Second), 0, 0},
		"long stale":         {p, at(time.Hour), 0, 0},
		"no clock":           {p, Bound{}, 45 * time.Second, 45 * time.Second},
		"strict":             {Policy{}, at(0), 0, 0},
		"strict, with grace": {Policy{Grace: time.Hour}, at(0), 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.policy.FillTTL(e, test.now); got != test.fill {
				t.Errorf("a fill stands for %v, want %v", got, test.fill)
			}
			if got := test.policy.Saved(e, test.now); got != test.saved {
				t.Errorf("a save stands for %v, want %v", got, test.saved)
			}
		})
	}
	if got := p.TombstoneTTL(); got < p.Freshness+p.Grace+margin {
		t.Errorf("a tombstone stands for %v: a fill may come after it and be fresh", got)
	}
	// A sleep that goes unnoticed lowers the bound of the clock, so the promise
	// must include it.
	if Allowance <= maxGap {
		t.Error("the allowance does not cover what the clock may miss")
	}
}

func TestFloor(t *testing.T) {
	p, e := Policy{Freshness: time.Second}, Entry{Version: 7}
	if got := p.MinVersionAfterSave(e, true); got != 0 {
		t.Errorf("acknowledged: minimum version %d", got)
	}
	if got := p.MinVersionAfterSave(e, false); got != 7 {
		t.Errorf("not acknowledged: minimum version %d", got)
	}
	if got := (Policy{}).MinVersionAfterSave(e, false); got != 0 {
		t.Errorf("strict: minimum version %d", got)
	}
}

func TestRevoked(t *testing.T) {
	p := Policy{Freshness: 30 * time.Second, Grace: 10 * time.Second}
	bound := 40*time.Second + Allowance
	for _, test := range []struct {
		policy         Policy
		outcome        Outcome
		acknowledged   bool
		one            bool
		needsTombstone bool
		want           Revocation
	}{
		{p, Committed, true, true, true, Revocation{true, true, 0}},
		{p, Committed, false, true, true, Revocation{true, false, bound}},
		{p, Committed, true, false, true, Revocation{true, true, bound}},
		{Policy{}, Committed, true, false, true, Revocation{true, true, 0}},
		{p, Journalled, true, true, true, Revocation{false, true, 0}},
		{p, OutcomeUnknown, true, true, true, Revocation{false, true, 0}},
		{p, OutcomeUnknown, false, true, true, Revocation{false, false, bound}},
		{p, Refused, false, true, false, Revocation{false, false, bound}},
		{Policy{}, Committed, false, true, true, Revocation{true, false, 0}},
		{Policy{Grace: time.Hour}, Committed, false, true, true, Revocation{true, false, 0}},
	} {
		if got := test.policy.Revoked(test.outcome, test.acknowledged, test.one); got != test.want {
			t.Errorf("%v, outcome %d, acknowledged %t: got %+v, want %+v", test.policy,
				test.outcome, test.acknowledged, got, test.want)
		}
		if got := test.outcome.NeedsTombstone(); got != test.needsTombstone {
			t.Errorf("outcome %d: tombstone %t", test.outcome, got)
		}
	}
}
