package cookie_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/bits"
	"strings"
	"testing"

	"github.com/reporadar/pgsession/internal/cookie"
)

func TestTokensAreRandom(t *testing.T) {
	const n = 100_000
	seen := make(map[cookie.Token]bool, n)
	var ones [256]int
	for range n {
		tk := cookie.NewToken()
		seen[tk] = true
		for i, b := range tk.Secret {
			for ; b != 0; b &= b - 1 {
				ones[8*i+bits.TrailingZeros8(b)]++
			}
		}
	}
	if len(seen) != n {
		t.Errorf("%d different tokens of %d", len(seen), n)
	}
	sigma := math.Sqrt(n) / 2
	for i, got := range ones {
		if math.Abs(float64(got)-n/2) > 6*sigma {
			t.Errorf("bit %d is set in %d of %d tokens", i, got, n)
		}
	}
}

// Ids and handles are in databases, logs and links: a change would lose them.
func TestIDAndHandleAreFrozen(t *testing.T) {
	var zs cookie.Token
	copy(zs.Secret[:], strings.Repeat("Z", 32))
	id := zs.ID()
	const want = "60bf07c488aad18fda339df07e4fbc47b4f00be71711936f18d04d352ad01890"
	if got := hex.EncodeToString(id[:]); got != want {
		t.Errorf("id %s", got)
	}
	if id != sha256.Sum256([]byte(strings.Repeat("Z", 32))) {
		t.Error("the id is not the SHA-256 of the token")
	}
	if got := id.Handle(); got != "7GKHLM3Avwjv5DQ7ZCcy2w" {
		t.Errorf("handle %s", got)
	}
}
