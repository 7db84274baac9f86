package rows

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// filler makes a payload of about 400 bytes.
const filler = "3 x 0042-871-553 blue; 1 x 0017-224-908 large; 2 x 0090-118-001 gift wrapped, " +
	"with a card; 1 x 0101-665-430 in stock; " +
	"deliver to the neighbours at number 12 if nobody answers the door, and not before 9 in the " +
	"morning; voucher SPRING-2026-0042; " +
	"seen: 0042-871-553, 0017-224-908, 0090-118-001, 0101-665-430, 0007-301-222"

// Name returns the user of row i.
func Name(i int) string { return fmt.Sprintf("user-%08d", i) }

// ID returns the key of row i in the library's table: sha256(int8send(i)).
func ID(i int) store.ID {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(i))
	return sha256.Sum256(b[:])
}

// Token returns the key of row i in other stores, in the form of scs's tokens.
func Token(i int) string {
	id := ID(i)
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// Values returns the values of row i's session.
func Values(i int) map[string]string {
	return map[string]string{"name": Name(i), "cart": filler, "theme": "dark", "locale": "en-GB"}
}

// Payload returns the JSON of Values.
func Payload(i int) []byte { return Named(Name(i)) }

// Named returns a payload with another name.
func Named(name string) []byte {
	const before, after = `{"cart":"` + filler + `","locale":"en-GB","name":"`, `","theme":"dark"}`
	payload := make([]byte, 0, len(before)+len(name)+len(after))
	payload = append(payload, before...)
	payload = append(payload, name...)
	return append(payload, after...)
}

// Check compares what a contestant loaded with the payload of row i. Postgres's
// jsonb formats the same object differently.
func Check(i int, loaded []byte) error {
	var values map[string]string
	if err := json.Unmarshal(loaded, &values); err != nil {
		return fmt.Errorf("row %d: what was loaded is not the payload: %w", i, err)
	}
	again, err := json.Marshal(values)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, Payload(i)) {
		return fmt.Errorf("row %d: the payload that was loaded is that of %q", i, values["name"])
	}
	return nil
}
