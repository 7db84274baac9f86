package coherence

import "time"

// Load decides about one load through the cache. Call [Load.Start], then the
// method for the result of each step, until a step serves.
type Load struct {
	Policy
	// MinVersion is the minimum version that the client demands; 0 for any.
	MinVersion int64
	// Unavailable is set during an outage of Postgres: grace applies.
	Unavailable bool
	// Watermark is that of the session's user. Set it before
	// [Load.CacheAnswered].
	Watermark Watermark

	fill bool // a record of the store may be filled
}

// Step is the next step of a load.
type Step int

// The steps of a load.
const (
	AskCache   Step = iota
	ServeCache      // return the entry
	AskStore
	ServeStore // return the result of the store
)

// CacheAnswer is the result of a read of the cache.
type CacheAnswer int

// The results of a read of the cache.
const (
	Hit            CacheAnswer = iota // an entry
	Miss                              // no usable entry
	FoundTombstone                    // a tombstone: a fill would be refused
	// no answer: a newer entry may be there, so nothing may be filled
	Timeout
)

// Start returns the first step.
func (l *Load) Start() Step {
	if l.Freshness <= 0 {
		return AskStore
	}
	return AskCache
}

// CacheAnswered returns the next step after an answer of the cache, and the
// verdict on the entry. e is used with a Hit only.
func (l *Load) CacheAnswered(a CacheAnswer, e Entry, now Bound) (Step, Verdict) {
	if a == Hit {
		verdict := l.Judge(e, l.MinVersion, now, l.Unavailable)
		if verdict == Fresh && l.Watermark.Covers(e) {
			verdict = Revoked
		}
		if verdict == Fresh {
			return ServeCache, Fresh
		}
		l.fill = true
		return AskStore, verdict
	}
	l.fill = a == Miss
	return AskStore, Stale
}

// StoreAnswered returns the time to live for a fill of the store's record, or 0
// for no fill. found is false if the store has no such session.
func (l *Load) StoreAnswered(e Entry, found bool, now Bound) (ttl time.Duration) {
	if !found || !l.fill {
		return 0
	}
	return l.FillTTL(e, now)
}

// Saved returns the time to live for a fill of a record just written, or 0 for
// no fill. It counts from now, not from ValidatedAt. A save that waited for a
// lock has an earlier ValidatedAt than an older version that was read
// meanwhile, and must keep that one out for as long as it is fresh.
func (p Policy) Saved(e Entry, now Bound) (ttl time.Duration) {
	if p.FillTTL(e, now) <= 0 {
		return 0
	}
	return p.Freshness + p.Grace + margin
}

// MinVersionAfterSave returns the minimum version that a client must demand
// after its save. It is 0 if the cache acknowledged the new version, or is not
// used. It is 0 with a local cache: see [Policy.AskFor].
func (p Policy) MinVersionAfterSave(e Entry, acknowledged bool) int64 {
	if acknowledged || p.Local || p.Freshness <= 0 {
		return 0
	}
	return e.Version
}
