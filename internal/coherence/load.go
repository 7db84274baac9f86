package coherence

import "time"

// Load is one load of a session through the cache: [Load.Start], then what each step asks for, until it is served.
type Load struct {
	Policy
	// MinVersion is the version that the client has seen.
	MinVersion int64
	// Away says that Postgres is.
	Unavailable bool

	fill bool // the store's answer may be put into the cache
}

// Step is what to do next.
type Step int

// The steps of a load.
const (
	AskCache   Step = iota
	ServeCache      // answer with the entry
	AskStore
	ServeStore // answer with what the store said
)

// CacheAnswer is what came of asking the cache.
type CacheAnswer int

// The answers of a cache.
const (
	Hit            CacheAnswer = iota // an entry
	Miss                              // nothing that can be used
	FoundTombstone                    // a tombstone: a fill would be refused
	Timeout                           // no answer, so nothing is known and nothing may be filled
)

// Start is the first step.
func (l *Load) Start() Step {
	if l.Freshness <= 0 {
		return AskStore
	}
	return AskCache
}

// CacheAnswered takes the cache's answer. The entry counts with a Hit only.
func (l *Load) CacheAnswered(a CacheAnswer, e Entry, now Bound) (Step, Verdict) {
	if a == Hit {
		verdict := l.Judge(e, l.MinVersion, now, l.Unavailable)
		if verdict == Fresh {
			return ServeCache, Fresh
		}
		l.fill = true
		return AskStore, verdict
	}
	l.fill = a == Miss
	return AskStore, Stale
}

// StoreAnswered takes the store's answer: the record, if it found one. It says for how long to put it into the cache; zero is not at all.
func (l *Load) StoreAnswered(e Entry, found bool, now Bound) (ttl time.Duration) {
	if !found || !l.fill {
		return 0
	}
	return l.FillTTL(e, now)
}

// Saved says for how long to put a record into the cache that was just written. It is counted from now and not from ValidatedAt: a save that waited for a lock is validated
// before an older version that was read meanwhile, and has to keep that one out for as long as it is fresh.
func (p Policy) Saved(e Entry, now Bound) (ttl time.Duration) {
	if p.FillTTL(e, now) <= 0 {
		return 0
	}
	return p.Freshness + p.Grace + margin
}

// MinVersionAfterSave is the version that a client must ask for after its save; zero when the cache has taken notice of it, or needn't.
func (p Policy) MinVersionAfterSave(e Entry, acknowledged bool) int64 {
	if acknowledged || p.Freshness <= 0 {
		return 0
	}
	return e.Version
}
