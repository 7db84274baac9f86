package coherence

import "time"

// decisions are the decisions of this package that the model uses, so that a
// mutant can replace one.
type decisions struct {
	start          func(*Load) Step
	cacheAnswered  func(*Load, CacheAnswer, Entry, Bound) (Step, Verdict)
	storeAnswered  func(*Load, Entry, bool, Bound) time.Duration
	saved          func(Policy, Entry, Bound) time.Duration
	minVersion     func(Policy, Entry, bool) int64
	needsTombstone func(Outcome) bool
	tombstoneTTL   func(Policy) time.Duration
	refusedTTL     func(Policy) time.Duration // of the tombstone for a save whose fill was refused
	revoked        func(Policy, Outcome, bool, bool) Revocation
	fill           func(*Slot, Entry) bool
	putTombstone   func(*Slot)
	get            func(*Slot) (CacheAnswer, Entry)
	revokedAt      func(Bound) Watermark
	askFor         func(Policy) time.Duration
	observe        func(*Clock, Time, Instant, Instant)
	now            func(*Clock, Instant) Bound
}

// production returns the decisions of this package.
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
		revokedAt:      RevokedAt,
		askFor:         Policy.AskFor,
		observe:        (*Clock).Observe,
		now:            (*Clock).Now,
	}
}

// conduct is what the stores and their statements must do for the decisions to
// be right. The zero value is right if lost is OutcomeUnknown.
type conduct struct {
	lost       Outcome // outcome of a revoke without a reply
	cacheFirst bool    // a revoke ends the session in the cache first, then in the database
	cacheOnly  bool    // a revoke ends the session in the cache only
	// validated_at is the server's clock after the snapshot: clock_timestamp()
	stampedLate      bool
	filledLate       bool // validated_at is the instance's bound at the time of the fill
	standby          bool // loads read a server without the last change
	upsert           bool // a save inserts a missing row
	touchWritesBack  bool // a touch writes the whole record that it has read
	refusalConfirms  bool // a save's refused fill counts as acknowledged
	lostSaveSucceeds bool // a save without a reply is reported as success
	revokeAllCounts  bool // a revoke of all counts as acknowledged by the cache

	// Of local caches.
	noTombstone        bool // a revoke by id drops the record and leaves no tombstone
	noWatermark        bool // a revoke of all drops the records and leaves no watermark
	watermarkOfSending bool // the watermark is taken when the revoke is sent
}
