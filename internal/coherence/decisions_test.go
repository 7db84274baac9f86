package coherence

import "time"

// decisions is every decision of this package that the world asks for, so that a mutant can swap one.
type decisions struct {
	start          func(*Load) Step
	cacheAnswered  func(*Load, CacheAnswer, Entry, Bound) (Step, Verdict)
	storeAnswered  func(*Load, Entry, bool, Bound) time.Duration
	saved          func(Policy, Entry, Bound) time.Duration
	minVersion     func(Policy, Entry, bool) int64
	needsTombstone func(Outcome) bool
	tombstoneTTL   func(Policy) time.Duration
	refusedTTL     func(Policy) time.Duration // of a save's tombstone, in place of its fill
	revoked        func(Policy, Outcome, bool, bool) Revocation
	fill           func(*Slot, Entry) bool
	putTombstone   func(*Slot)
	get            func(*Slot) (CacheAnswer, Entry)
	observe        func(*Clock, Time, Instant, Instant)
	now            func(*Clock, Instant) Bound
}

// production is this package as it is.
func production() decisions {
	return decisions{
		start:          (*Load).Start,
		cacheAnswered:  (*Load).CacheAnswered,
		storeAnswered:  (*Load).StoreAnswered,
		saved:          Policy.Saved,
		minVersion:     Policy.MinVersionAfterSave,
		needsTombstone: Outcome.NeedsTombstone,
		tombstoneTTL:   Policy.TombstoneTTL,
		refusedTTL:     Policy.TombstoneTTL,
		revoked:        Policy.Revoked,
		fill:           (*Slot).Fill,
		putTombstone:   (*Slot).PutTombstone,
		get:            (*Slot).Get,
		observe:        (*Clock).Observe,
		now:            (*Clock).Now,
	}
}

// conduct is what the stores and their statements have to keep to for the decisions to be right. The zero value is right, save that lost has to be Uncertain.
type conduct struct {
	lost             Outcome // what the lost reply of a revoke is taken for
	cacheFirst       bool    // a revoke tells the cache, then the database
	cacheOnly        bool    // a revoke tells the cache alone
	stampedLate      bool    // validated_at is the server's clock after the snapshot: clock_timestamp()
	filledLate       bool    // validated_at is the instance's idea of the time of the fill
	standby          bool    // loads read a server that has not heard of the last change
	upsert           bool    // a save inserts what it does not find
	touchWritesBack  bool    // a touch writes the whole record that it had read
	refusalConfirms  bool    // a save's fill that was refused counts as acknowledged
	lostSaveSucceeds bool    // the lost reply of a save is reported as success
	revokeAllCounts  bool    // a revoke of all counts as one that the cache has acknowledged
}
