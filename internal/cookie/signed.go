package cookie

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/reporadar/pgsession/internal/keyring"
)

// The cookie's value is
//
//	v1.<key id>.<base64url(payload)>.<base64url(HMAC-SHA-256)>
//
// where the payload is the token (32 bytes), flags (1 byte) and 8 bytes, big
// endian: the minimum version of a load, or the Unix time at which a session of
// an emergency was created.
//
// The MAC covers the purpose, the name of the cookie, the environment, the key
// id and the payload, each with its length before it. So a cookie of another
// name, another environment or another purpose of the same secret is refused.
// The token keeps a session safe; the MAC lets a forged cookie be refused
// without a query.
const (
	cookieVersion  = "v1"
	cookiePurpose  = "pgsession cookie v1"
	flagPersistent = 1 << 0
	flagEmergency  = 1 << 1

	payloadBytes = 32 + 1 + 8
	keyIDChars   = 2 * keyring.IDBytes
	payloadChars = (payloadBytes*8 + 5) / 6
	macChars     = (sha256.Size*8 + 5) / 6

	// ValueChars is the length of a cookie's value.
	ValueChars = len(cookieVersion) + 1 + keyIDChars + 1 + payloadChars + 1 + macChars
)

// cookieEncoding decodes strictly: with trailing bits a value would have a
// second spelling.
var cookieEncoding = base64.RawURLEncoding.Strict()

// signed is our own format.
type signed struct {
	context []byte // of every MAC, before the key id and the payload
	ring    keyring.Ring
	ids     []string // of the keys, in hex
}

func newSigned(name, env string, secrets []string) (*signed, error) {
	f := &signed{}
	for _, part := range []string{cookiePurpose, name, env} {
		f.context = keyring.AppendPart(f.context, part)
	}
	raw := make([][]byte, len(secrets))
	for i, secret := range secrets {
		raw[i] = []byte(secret)
	}
	purpose := keyring.Purpose{ID: cookiePurpose + " key id", Key: cookiePurpose + " mac"}
	ring, err := keyring.New(raw, purpose, func(id keyring.ID) keyring.Layout {
		f.ids = append(f.ids, hex.EncodeToString(id[:]))
		prefix := keyring.AppendPart(slices.Clone(f.context), f.ids[len(f.ids)-1])
		return keyring.Layout{
			Prefix: keyring.AppendLength(prefix, payloadBytes), Size: payloadBytes,
		}
	})
	if err != nil {
		return nil, err
	}
	f.ring = ring
	return f, nil
}

// sign returns the value of a ticket's cookie, signed with the first key.
func (f *signed) sign(t Ticket) string {
	var payload [payloadBytes]byte
	copy(payload[:], t.Token.Secret[:])
	if t.Persistent {
		payload[32] |= flagPersistent
	}
	number := t.MinVersion
	if t.Made > 0 {
		payload[32] |= flagEmergency
		number = t.Made
	}
	binary.BigEndian.PutUint64(payload[33:], number)

	value := make([]byte, 0, ValueChars)
	value = append(value, cookieVersion+"."+f.ids[0]+"."...)
	value = cookieEncoding.AppendEncode(value, payload[:])
	value = append(value, '.')
	mac := f.ring[0].MAC.Sum(payload[:])
	value = cookieEncoding.AppendEncode(value, mac[:])
	return string(value)
}

// verify returns the ticket of a cookie's value, and false if the value is not
// ours. It compares MACs of fixed length in constant time, and tries only the
// key that the key id names.
func (f *signed) verify(value string) (Ticket, bool) {
	if len(value) != ValueChars || value[:len(cookieVersion)+1] != cookieVersion+"." {
		return Ticket{}, false
	}
	rest := value[len(cookieVersion)+1:]
	if rest[keyIDChars] != '.' || rest[keyIDChars+1+payloadChars] != '.' {
		return Ticket{}, false
	}
	for i := range f.ring {
		if rest[:keyIDChars] != f.ids[i] {
			continue
		}
		// Decoders skip line ends, so a short result is another spelling.
		var buf [payloadBytes + sha256.Size]byte
		payloadText, macText := rest[keyIDChars+1:][:payloadChars], rest[len(rest)-macChars:]
		n, err := cookieEncoding.Decode(buf[:payloadBytes], []byte(payloadText))
		if err != nil || n != payloadBytes {
			return Ticket{}, false
		}
		n, err = cookieEncoding.Decode(buf[payloadBytes:], []byte(macText))
		if err != nil || n != sha256.Size {
			return Ticket{}, false
		}
		payload := [payloadBytes]byte(buf[:payloadBytes])
		mac := f.ring[i].MAC.Sum(payload[:])
		flags := payload[32]
		if !hmac.Equal(buf[payloadBytes:], mac[:]) || flags&^(flagPersistent|flagEmergency) != 0 {
			return Ticket{}, false
		}
		t := Ticket{Persistent: flags&flagPersistent != 0, Stale: i > 0}
		number := &t.MinVersion
		if flags&flagEmergency != 0 {
			number = &t.Made
		}
		*number = binary.BigEndian.Uint64(payload[33:])
		copy(t.Token.Secret[:], payload[:])
		return t, true
	}
	return Ticket{}, false
}

func (f *signed) newToken() Token { return NewToken() }

// foreign knows the one other format whose users move here.
func (f *signed) foreign(value string) bool { return ofExpress(value) }
