package cached

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/reporadar/pgsession/sessionstore/store"
)

// FuzzRecordDecode wants that a record that decodes is encoded to the same
// record, and that no input makes decodeRecord panic or allocate without
// bounds.
func FuzzRecordDecode(f *testing.F) {
	full := store.Record{
		UserID: "ann", Data: []byte(`{"a":1}`),
		CreatedAt: time.UnixMicro(1), LastSeenAt: time.UnixMicro(-1),
		Client: store.Client{IP: netip.MustParseAddr("fe80::1%eth0"), UserAgent: "browser"},
	}
	f.Add(encodeRecord(&full))
	f.Add(encodeRecord(&store.Record{}))
	login := full
	login.LoginID, login.PendingUserID = store.LoginID{1}, "bob"
	login.Methods = store.MethodsFromJSON(`{"totp":{}}`)
	f.Add(encodeRecord(&login))
	f.Add([]byte{})
	f.Add([]byte{recordFormat, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var rec store.Record
		if err := decodeRecord(&rec, bytes.Clone(b)); err != nil {
			return
		}
		if b[0] != recordFormat {
			t.Fatalf("format %d is not known", b[0])
		}
		var again store.Record
		if err := decodeRecord(&again, encodeRecord(&rec)); err != nil ||
			!reflect.DeepEqual(rec, again) {
			t.Fatalf("%+v comes back as %+v, %v", rec, again, err)
		}
	})
}
