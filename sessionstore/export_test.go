package sessionstore

// The sizes and the pace that tests count on.
const (
	TouchEvery = touchEvery
	MaxTouches = maxTouches
	PruneBatch = pruneBatch
	PruneRest  = pruneRest
)

// AddTouch queues a touch as the end of a request does.
func (m *Manager) AddTouch(t Touch) { m.touches.add(t) }
