// Package cache stores sealed, versioned entries in Redis. An entry is bytes
// and times to it: its caller decides whether a session may be served from it.
//
// # What is in Redis
//
// A key is the namespace and the id, which is the SHA-256 of a token. A value
// is
//
//	format (1 byte) | key id (4) | version (8) |
//	validated at (8) | expires at (8) | absolute expiry (8) |
//	nonce (12) | ciphertext | tag (16)
//
// with big-endian integers, and times in microseconds since 1970. The data is
// sealed with AES-256-GCM and a random nonce. The key is derived for each id by
// HKDF-SHA-256, so none seals enough messages for a nonce to repeat. The
// associated data is
//
//	length (4) | purpose | length (4) | namespace | id (32) |
//	everything before the nonce (37)
//
// so a value is valid for its id, namespace and header only. An attacker who
// controls Redis can do three things: delete entries, restore older entries of
// the same id, and learn the length and use of entries. [Entry.ValidatedAt] and
// the version let the caller refuse older entries. GCM takes constant time only
// on processors with AES instructions. Nothing is compressed: the length of a
// value reveals the length of the data and nothing of its content.
//
// A tombstone is the text "buried" in place of a value, in every format to come
// too. It is not authenticated, so it means no more than a miss.
//
// # Writes
//
// Each write is one Lua script and therefore atomic. A fill is refused if there
// is a tombstone, an entry of a higher version, or one of the same version that
// was validated at the same time or later. A tombstone is always stored. Every
// key has a time to live. A value of an unknown format is overwritten.
//
// # Failure
//
// If Redis fails, a call returns [ErrUnavailable] within [Config.Timeout]. A
// Get returns earlier: after the mean and four deviations of the latest round
// trips, but not before a sixteenth of Config.Timeout. Until the late reply
// arrives or fails, other Gets return at once. A late reply is discarded; its
// duration makes the next Gets wait for longer.
//
// After a few failures the circuit breaker opens: Gets and Fills return at
// once, and a timer probes Redis in the background. With a Redis Cluster it
// stays open until every master answers. The breaker is this package's own,
// because libraries probe with the request of a caller.
//
// # Keys
//
// The first of [Config.Keys] seals and each of them opens. A value names its
// key by an id that is derived from the key. To replace a key:
//  1. Add the new key as the second one on all instances.
//  2. Make it the first one on all instances.
//  3. Remove the old key after the freshness of the cache has passed.
package cache
