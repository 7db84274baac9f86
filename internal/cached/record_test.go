package cached_test

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reporadar/pgsession/cache"
	"github.com/reporadar/pgsession/internal/cached"
	"github.com/reporadar/pgsession/sessionstore/store"
)

// A record is encoded without the fields that [cache.Entry] has.
func TestRecordEncodeAndDecode(t *testing.T) {
	at := time.UnixMicro(1_790_000_000_123_456)
	for name, rec := range map[string]store.Record{
		"nothing": {Data: []byte("{}")},
		"much": {
			UserID: "ann", Data: []byte(`{"a":[1,2],"b":"\u00fc"}`),
			CreatedAt: at, AuthenticatedAt: at.Add(time.Hour), LastSeenAt: at.Add(2 * time.Hour),
			Client: store.Client{IP: netip.MustParseAddr("192.0.2.7"), UserAgent: "browser/1.0"},
		},
		"login": {
			UserID: "ann", Data: []byte("{}"), LoginID: store.LoginID{7, 15: 9},
			Methods: store.NewMethods(store.Method{Name: "totp", Level: 2, At: at}),
		},
		"pending": {Data: []byte("{}"), PendingUserID: "ann", PendingSince: at},
		"IPv6": {
			Data: []byte("{}"), Client: store.Client{IP: netip.MustParseAddr("2001:db8::1")},
		},
		"IPv6 zone": {
			Data: []byte("{}"), Client: store.Client{IP: netip.MustParseAddr("fe80::1%eth0")},
		},
		"mapped IPv4": {
			Data: []byte("{}"), Client: store.Client{IP: netip.MustParseAddr("::ffff:192.0.2.7")},
		},
		"before 1970": {
			Data: []byte("{}"), CreatedAt: time.UnixMicro(-1), LastSeenAt: time.UnixMicro(-1e15),
		},
		"large": {Data: bytes.Repeat([]byte("x"), 1<<20), UserID: strings.Repeat("u", 256)},
	} {
		t.Run(name, func(t *testing.T) {
			b := cached.EncodeRecord(&rec)
			var got store.Record
			if err := cached.DecodeRecord(&got, bytes.Clone(b)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, rec) {
				t.Errorf("got %+v, want %+v", got, rec)
			}
			if name == "large" {
				return
			}
			for n := range b { // cut short, or with something behind it
				if err := cached.DecodeRecord(new(store.Record), b[:n]); err == nil {
					t.Errorf("%d bytes of %d decode", n, len(b))
				}
			}
			err := cached.DecodeRecord(new(store.Record),
				append(bytes.Clone(b), 0))
			if err == nil {
				t.Error("a byte too many decodes")
			}
		})
	}
}

// An entry in another format is a miss.
func TestUnknownFormatIsAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInstance(t, halfMinute, weekly)
		rec := i.create("s")
		encoded := cached.EncodeRecord(&rec)
		for _, data := range [][]byte{
			nil, {}, {0}, {3}, append([]byte{3}, encoded[1:]...), encoded[:9], []byte(`{"n":1}`),
		} {
			i.cache.Flush()
			_, err := i.cache.Fill(t.Context(), cache.ID(rec.ID), cache.Entry{
				Version: 9, ValidatedAt: rec.ValidatedAt, ExpiresAt: rec.ExpiresAt,
				AbsoluteExpiresAt: rec.AbsoluteExpiresAt, Data: data,
			}, time.Minute)
			expect(t, "error", err, nil)
			expect(t, "version", i.load(rec.ID, "load").Version, 1)
		}
		stats := i.Metrics()
		expect(t, "misses", stats.Misses, 7)
		expect(t, "hits", stats.Hits, 0)
	})
}
