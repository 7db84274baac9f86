package cache

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/reporadar/pgsession/internal/keyring"
)

func ringOf(t testing.TB, namespace string, seeds ...string) *sealer {
	t.Helper()
	var masters [][]byte
	for _, seed := range seeds {
		masters = append(masters, master(seed))
	}
	r, err := newSealer(namespace, masters)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sealed(t testing.TB, r *sealer, id ID, e Entry) string {
	t.Helper()
	value, err := r.seal(&id, &e)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func TestSealedEntriesOpen(t *testing.T) {
	r := ringOf(t, testNamespace, "one")
	for _, size := range []int{0, 1, 15, 16, 17, 400, defaultMaxSize} {
		e := entryOf(int64(size+1), strings.Repeat("d", size))
		got, ok := r.opened(&ID{1}, sealed(t, r, ID{1}, e))
		if !ok || !same(got, e) {
			t.Errorf("%d bytes: opened %v, version %d", size, ok, got.Version)
		}
	}
}

func TestTimesAreKeptToTheMicrosecond(t *testing.T) {
	r := ringOf(t, testNamespace, "one")
	at := time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.FixedZone("", 3600))
	e := Entry{Version: 1, ValidatedAt: at, AbsoluteExpiresAt: at.Add(1 << 40)}
	got, ok := r.opened(&ID{}, sealed(t, r, ID{}, e))
	if !ok || !got.ValidatedAt.Equal(at.Truncate(time.Microsecond)) ||
		got.ValidatedAt.Location() != time.UTC || !got.ExpiresAt.IsZero() {
		t.Errorf("%v became %v; no time became %v", at, got.ValidatedAt, got.ExpiresAt)
	}
}

func TestSealedValuesRevealOnlyTheirLength(t *testing.T) {
	r, seen := ringOf(t, testNamespace, "one"), map[string]bool{}
	canary := strings.Repeat("canary", 20)
	for i := range 10_000 {
		e := entryOf(1, canary)
		if i%2 == 0 {
			e.Data = make([]byte, len(canary))
		}
		value := sealed(t, r, ID{}, e)
		if len(value) != sealedBytes+len(canary) || strings.Contains(value, "canary") {
			t.Fatalf("%d bytes for %d", len(value), len(canary))
		}
		nonce := value[headerBytes : headerBytes+12]
		if seen[nonce] {
			t.Fatal("a nonce twice")
		}
		seen[nonce] = true
	}
}

func TestAnyOtherByteIsAMiss(t *testing.T) {
	r := ringOf(t, testNamespace, "one", "two")
	value := sealed(t, r, ID{1}, entryOf(7, "some data"))
	for i := range value {
		for bit := range 8 {
			b := []byte(value)
			b[i] ^= 1 << bit
			if e, ok := r.opened(&ID{1}, string(b)); ok || e.Version != 0 || e.Data != nil {
				t.Fatalf("bit %d of byte %d changes nothing", bit, i)
			}
		}
		if e, ok := r.opened(&ID{1}, value[:i]); ok || e.Data != nil {
			t.Fatalf("the first %d bytes open", i)
		}
	}
	for _, longer := range []string{value + "\x00", "\x00" + value, value + value} {
		if _, ok := r.opened(&ID{1}, longer); ok {
			t.Error("more bytes open")
		}
	}
}

func TestVersionsThatAreNotPositiveDoNotOpen(t *testing.T) {
	r := ringOf(t, testNamespace, "one")
	for _, version := range []int64{0, -1, -1 << 63} {
		if _, ok := r.opened(&ID{1}, sealed(t, r, ID{1}, Entry{Version: version})); ok {
			t.Errorf("version %d opens", version)
		}
	}
}

// Each of these values opens in one place only.
func TestValuesCannotChangePlaces(t *testing.T) {
	type place struct {
		namespace, key string
		id             ID
	}
	var places []place
	for _, namespace := range []string{"a:", "a:a", "b:", "ab"} {
		for _, key := range []string{"one", "two"} {
			for _, id := range []ID{{}, {1}, idOf("a")} {
				places = append(places, place{namespace, key, id})
			}
		}
	}
	for i, from := range places {
		value := sealed(t, ringOf(t, from.namespace, from.key), from.id, entryOf(1, "data"))
		for j, to := range places {
			// The reader has both keys, in either order.
			other := map[string]string{"one": "two", "two": "one"}[to.key]
			_, ok := ringOf(t, to.namespace, to.key, other).opened(&to.id, value)
			if want := from.namespace == to.namespace && from.id == to.id; ok != want {
				t.Errorf("sealed at %d, opened at %d: %v", i, j, ok)
			}
			if _, ok := ringOf(t, to.namespace, to.key).opened(&to.id, value); ok != (i == j) {
				t.Errorf("sealed at %d, opened at %d with its key alone: %v", i, j, ok)
			}
		}
	}
}

func TestPartsCannotChangeValues(t *testing.T) {
	r := ringOf(t, testNamespace, "one", "two")
	bounds := []int{0, 1, 5, 13, 21, 29, 37, 49}
	var values []string
	for i := range 6 {
		e := entryOf(int64(100+i), fmt.Sprintf("data %d", i))
		e.ExpiresAt = e.ExpiresAt.Add(time.Duration(i) * time.Second)
		e.AbsoluteExpiresAt = e.AbsoluteExpiresAt.Add(time.Duration(i) * time.Second)
		values = append(values, sealed(t, r, ID{1}, e))
	}
	other := ringOf(t, testNamespace, "two", "one")
	values = append(values, sealed(t, other, ID{1}, entryOf(106, "data 6")))
	for _, a := range values {
		for _, b := range values {
			for n := range len(bounds) - 1 {
				from, to := bounds[n], bounds[n+1]
				mixed := a[:from] + b[from:to] + a[to:]
				if _, ok := r.opened(&ID{1}, mixed); ok != (mixed == a) {
					t.Errorf("bytes %d to %d of another value: opened %v", from, to, ok)
				}
			}
			if mixed := a[:37] + b[37:]; mixed != a {
				if _, ok := r.opened(&ID{1}, mixed); ok {
					t.Error("the sealed part of another value opens")
				}
			}
		}
	}
}

// A value names its key. Another key of the ring is not tried.
func TestKeysAreNotTried(t *testing.T) {
	r := ringOf(t, testNamespace, "one", "two")
	for _, name := range []keyring.ID{{}, r.ring[1].ID} {
		wrong := &sealer{ring: keyring.Ring{{ID: name, MAC: r.ring[0].MAC}}, prefix: r.prefix}
		value := sealed(t, wrong, ID{1}, entryOf(1, "data"))
		if _, ok := wrong.opened(&ID{1}, value); !ok {
			t.Fatal("the value is not what this test needs")
		}
		if _, ok := r.opened(&ID{1}, value); ok {
			t.Errorf("a value that names key %x was opened by another", name)
		}
	}
}

// Two different lists of parts never have the same associated data.
func TestAssociatedDataIsInjective(t *testing.T) {
	seen := map[string]string{}
	now := time.UnixMicro(1_800_000_000_000_000)
	for _, namespace := range []string{"a", "aa", "a\x00", strings.Repeat("a", 36)} {
		for _, id := range []ID{{}, {'a'}, {31: 'a'}} {
			for _, key := range []keyring.ID{{}, {1}, {3: 1}} {
				for _, version := range []int64{1, 1 << 8, 1 << 56} {
					for shift := range 3 {
						e := Entry{
							Version: version, ValidatedAt: now, ExpiresAt: now,
							AbsoluteExpiresAt: now,
						}
						times := []*time.Time{&e.ValidatedAt, &e.ExpiresAt, &e.AbsoluteExpiresAt}
						*times[shift] = now.Add(time.Microsecond)
						r := ringOf(t, namespace, "one")
						aad := string(r.appendAAD(nil, &id, appendHeader(nil, key, &e)))
						parts := fmt.Sprintf("%q %x %x %d %d", namespace, id, key, version, shift)
						if before, twice := seen[aad]; twice {
							t.Errorf("%s and %s look alike", before, parts)
						}
						seen[aad] = parts
						if len(aad) != 4+len(purposeEntry)+4+len(namespace)+32+37 {
							t.Errorf("%d bytes", len(aad))
						}
					}
				}
			}
		}
	}
}

// opened opens a copy.
func (r *sealer) opened(id *ID, value string) (Entry, bool) { return r.open(id, []byte(value)) }

func TestDerivedKeysEqualHKDF(t *testing.T) {
	secret := master("root")
	root := keyring.NewMAC(secret, expand)
	for i := range 100 { // with deriver from the pool too
		id := idOf(fmt.Sprint(i))
		want, err := hkdf.Expand(sha256.New, secret, purposeEntry+string(id[:]), 32)
		if err != nil {
			t.Fatal(err)
		}
		d := root.Get()
		if got := d.Sum(id[:]); !bytes.Equal(got, want) {
			t.Fatalf("id %d: not the key that HKDF-Expand gives", i)
		}
		root.Put(d)
	}
}

type vector struct {
	Name, Master, Namespace, ID, Data, Key, AAD, Value string
	Version                                            int64
	KeyID                                              string `json:"key_id"`
	ValidatedAt                                        int64  `json:"validated_at"`
	ExpiresAt                                          int64  `json:"expires_at"`
	AbsoluteExpiresAt                                  int64  `json:"absolute_expires_at"`
}

func frozen(t testing.TB) (vectors []vector) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != frozenVectors {
		t.Errorf("testdata/vectors.json was changed: its SHA-256 is %s", got)
	}
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors) == 0 {
		t.Fatal(len(vectors), err)
	}
	return vectors
}

// The vectors were made by another implementation, testdata/vectors.py, and are
// frozen. After an update the values in Redis must still open or be of another
// format.
func TestFrozenVectors(t *testing.T) {
	for _, v := range frozen(t) {
		id, value := ID(unhex(t, v.ID)), unhex(t, v.Value)
		r, err := newSealer(v.Namespace, [][]byte{unhex(t, v.Master)})
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(r.ring[0].ID[:]); got != v.KeyID {
			t.Errorf("%s: key id %s", v.Name, got)
		}
		if got := r.ring[0].MAC.Get().Sum(id[:]); hex.EncodeToString(got) != v.Key {
			t.Errorf("%s: another key", v.Name)
		}
		if got := r.appendAAD(nil, &id, value[:headerBytes]); hex.EncodeToString(got) != v.AAD {
			t.Errorf("%s: other associated data", v.Name)
		}
		want := Entry{
			Version: v.Version, ValidatedAt: time.UnixMicro(v.ValidatedAt),
			ExpiresAt:         time.UnixMicro(v.ExpiresAt),
			AbsoluteExpiresAt: time.UnixMicro(v.AbsoluteExpiresAt), Data: unhex(t, v.Data),
		}
		if got := appendHeader(nil, r.ring[0].ID, &want); !bytes.Equal(got, value[:headerBytes]) {
			t.Errorf("%s: another header", v.Name)
		}
		got, ok := r.opened(&id, string(value))
		if !ok || !same(got, want) {
			t.Errorf("%s: opened %v, version %d", v.Name, ok, got.Version)
		}
	}
}

const frozenVectors = "31167dfe0775fdb371ca6d9248bf3533055500e2aaa2af0f98bfdb8955b163c7"

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withFIPS lists the tests that TestPassesWithFIPSOnly runs: of keys, of
// sealing, and of the life of an entry from end to end.
var withFIPS = []string{
	"TestInvalidKeys", "TestKeysAreChangedWithoutAMiss", "TestPurposesHaveKeysOfTheirOwn",
	"TestDerivedKeysEqualHKDF", "TestSealedEntriesOpen", "TestAnyOtherByteIsAMiss",
	"TestValuesCannotChangePlaces", "TestFrozenVectors", "TestLifeOfAnEntry", "TestEveryKeyEnds",
	"TestALostScriptFailsNothing", "FuzzOpen", "FuzzParseHeader",
}

// The package uses nothing that FIPS 140 forbids: its tests pass where that
// would fail.
func TestPassesWithFIPSOnly(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.v",
		"-test.run=^("+strings.Join(withFIPS, "|")+")$")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range withFIPS {
		if !bytes.Contains(out, []byte("--- PASS: "+name+" (")) {
			t.Errorf("%s was not run", name)
		}
	}
}
