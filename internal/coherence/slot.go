package coherence

// Slot is what stands in the cache under one id. Its methods say what the script in package cache does; a test runs both side by side.
type Slot struct {
	State SlotState
	Entry Entry // of a Filled one
}

// SlotState is what a slot holds.
type SlotState int

// The states of a slot.
const (
	Empty SlotState = iota
	Filled
	Tombstone
)

// Fill puts an entry in, unless a tombstone stands, or an entry that is not older: of a higher version, or of the same version read as late.
func (s *Slot) Fill(e Entry) bool {
	if s.State == Tombstone || s.State == Filled && !s.Entry.olderThan(e) {
		return false
	}
	*s = Slot{State: Filled, Entry: e}
	return true
}

// PutTombstone puts a tombstone in, whatever stands.
func (s *Slot) PutTombstone() { *s = Slot{State: Tombstone} }

// Get is what a reader of the slot is told.
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
