// Package cache keeps sealed, versioned entries in Redis. It knows bytes, not sessions: what an entry may be used for is
// its caller's to decide.
//
// # What is in Redis
//
// The key is the namespace and the id, which is the SHA-256 of a token. The value is
//
//	format (1 byte) | key id (4) | version (8) | validated at (8) | expires at (8) | absolute expiry (8) | nonce (12) | ciphertext | tag (16)
//
// with integers in big endian and times in microseconds since 1970. The data is sealed with AES-256-GCM and a random
// nonce, under a key made for this id alone by HKDF-SHA-256, so no key comes near the number of messages after which
// nonces repeat. The associated data is
//
//	purpose | namespace, each after its length in 4 bytes | id (32) | everything before the nonce (37)
//
// so that a value is worth something only where, and as, it was put. Whoever controls Redis can delete entries, put back
// older ones of the same id, which [Entry.ValidatedAt] and the version let the caller refuse, and learns the length and
// the use of entries; nothing else. GCM takes constant time only on processors with AES instructions. Nothing is
// compressed: the length says how long the data is, and no more.
//
// A tombstone is the word "buried" in place of a value. It is not authenticated, and so never means more than a miss. It
// is the same in every format, those to come included.
//
// # Writes
//
// One Lua script makes each write atomic: a fill is refused where a tombstone stands, a higher version, or the same
// version read as late or later; a tombstone always wins. Every key has a time to live. What is not of this format is overwritten.
//
// # Failure
//
// Redis failing is never more than [ErrUnavailable], after at most [Config.Timeout]. A Get gives up before that, once it
// has waited for as long as exchanges usually take and four deviations more, but not before a sixteenth of Config.Timeout;
// until the late answer comes or fails no other Get begins to wait. Nothing is made of an answer that comes late, but that
// the next Gets are patient. After a few failures Redis is left alone, and asked again in the background by a timer, so that no caller waits for the answer; with a Redis Cluster, as
// long as one of its masters does not answer. The breaker is this package's own and not a library because those try with
// a caller's request whether things are better.
//
// # Keys
//
// The first of [Config.Keys] seals, all of them open, and a value names its key, by an id derived from it. To change the
// key, give the new one to all instances as the second, then as the first, and take the old one away a freshness later.
package cache
