package coherence

// Slot is the value under one id in the cache. Its methods do what the script
// of package cache does; a test runs both side by side.
type Slot struct {
	State SlotState
	Entry Entry // if State is Filled
}

// SlotState is the kind of value in a slot.
type SlotState int

// The states of a slot.
const (
	Empty SlotState = iota
	Filled
	Tombstone
)

// Fill stores an entry and returns true, unless there is a tombstone or an
// entry that is not older: of a higher version, or of the same version
// validated at the same time or later.
func (s *Slot) Fill(e Entry) bool {
	if s.State == Tombstone || s.State == Filled && !s.Entry.olderThan(e) {
		return false
	}
	*s = Slot{State: Filled, Entry: e}
	return true
}

// PutTombstone stores a tombstone, whatever is there.
func (s *Slot) PutTombstone() { *s = Slot{State: Tombstone} }

// Get returns the answer to a read.
func (s *Slot) Get() (CacheAnswer, Entry) {
	switch s.State {
	case Filled:
		return Hit, s.Entry
	case Tombstone:
		return FoundTombstone, Entry{}
	}
	return Miss, Entry{}
}

func (e Entry) olderThan(other Entry) bool {
	if e.Version != other.Version {
		return e.Version < other.Version
	}
	return e.ValidatedAt < other.ValidatedAt
}
