package cache_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	start(t, "unixsocket "+path, "requirepass secret")
	c := dial(t, "unix://:secret@"+path+"?db=1")
	wantPing(t, c, "")
	fill(t, c, idOf("a"), entryOf(1, "data"))
	if e, err := c.Get(t.Context(), idOf("a")); err != nil || !same(e, entryOf(1, "data")) {
		t.Errorf("Get: %v", err)
	}
	wantPing(t, dial(t, "unix://"+path), "password required")
}

func TestTLS(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	certificate(t, dir)
	s := start(t, fmt.Sprintf("tls-port %d", port), "tls-cert-file "+filepath.Join(dir, "cert"),
		"tls-key-file "+filepath.Join(dir, "key"), "tls-auth-clients no")
	url := fmt.Sprintf("rediss://127.0.0.1:%d?dial_timeout=5s", port)
	wantPing(t, dial(t, url), "certificate not accepted")
	wantPing(t, dial(t, fmt.Sprintf("rediss://127.0.0.1:%d", s.port)), "timeout")
	wantPing(t, dial(t, fmt.Sprintf("redis://127.0.0.1:%d", port)), "connection closed")
	c := dial(t, url+"&skip_verify=true")
	wantPing(t, c, "")

	// Over TLS go-redis does not see that a pool is full of closed connections.
	stop := use(t, c)
	until(t, "there are hits", func() bool { return c.Stats().Hits > 100 })
	stop()
	s.kill()
	s.run()
	until(t, "it is used again", func() bool {
		_, _ = c.Get(t.Context(), idOf("a"))
		stored, err := c.Fill(t.Context(), idOf("after"), entryOf(1, "data"), time.Hour)
		return err == nil && (stored || c.Stats().Hits > 0)
	})
	t.Logf("%+v", c.Stats())
}

func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert": {Type: "CERTIFICATE", Bytes: cert}, "key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
}
