package node_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/node"
	"github.com/xmppd/xmppd/internal/xmpptest"
)

// writeCertificate makes NAME.crt and NAME.key in dir.
func writeCertificate(t *testing.T, dir, name string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name+file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shown is the certificate that the server shows to a client of c2s_tls that
// asks for a name.
func shown(t *testing.T, s *xmpptest.Server, name string) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", s.Addr(t, "c2s_tls"), &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // its own certificate
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// The certificate is chosen by the name that the client asks for, and new ones
// are taken over without dropping anybody.
func TestCertificatesByName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, "localhost", 1)
	writeCertificate(t, dir, "verona.example", 2)
	text := "tls: {cert_dir: " + dir + "}"
	s := xmpptest.Start(t, xmpptest.Options{Config: text})
	serial := func(name string, want int64) {
		t.Helper()
		if got := shown(t, s, name).SerialNumber.Int64(); got != want {
			t.Errorf("%s: certificate %d, want %d", name, got, want)
		}
	}
	serial("localhost", 1)
	serial("verona.example", 2)
	serial("elsewhere.example", 1) // the first, for want of a better one
	serial("", 1)

	var all []*xmpptest.Client
	for _, way := range []xmpptest.Way{xmpptest.TCP, xmpptest.DirectTLS, xmpptest.SecureWebSocket} {
		all = append(all, s.Login(t, way, "romeo@localhost/"+string(way)))
	}
	early := s.Dial(t, xmpptest.TCP) // its handshake comes later
	early.Open()

	file := filepath.Join(t.TempDir(), "xmppd.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set := s.Node.Commands(node.Process{Level: new(slog.LevelVar), Load: func() (*config.Config, error) {
		cfg, _ := config.Load(file, []string{"XMPPD_DATA_DIR=" + dir})
		return cfg, nil
	}})
	reload := func() error {
		_, _, err := set.Call(t.Context(), "reload_config", nil)
		return err
	}
	writeCertificate(t, dir, "localhost", 3)
	serial("localhost", 1) // not yet
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	serial("localhost", 3)
	serial("verona.example", 2)
	early.StartTLS()
	early.Open()
	for _, c := range all {
		c.ExpectNothing()
	}

	// What cannot be read changes nothing.
	if err := os.WriteFile(filepath.Join(dir, "verona.example.key"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := reload(); err == nil {
		t.Error("a broken key was taken")
	}
	serial("verona.example", 2)
}

// RFC 7590 §3, RFC 9325 §3.1.1: TLS 1.2 and 1.3 and nothing older, no weak
// suites, and ALPN as XEP-0368 has it.
func TestTLSVersions(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	for _, key := range []string{"c2s_tls", "https"} {
		for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
			c, err := tls.Dial("tcp", s.Addr(t, key), &tls.Config{MinVersion: version, MaxVersion: version, InsecureSkipVerify: true}) //nolint:gosec // the point
			if (err == nil) != ok {
				t.Errorf("%s by %s: %v", key, tls.VersionName(version), err)
			}
			if err == nil {
				c.Close()
			}
		}
		for _, suite := range append(tls.InsecureCipherSuites(), tls.CipherSuites()...) {
			c, err := tls.Dial("tcp", s.Addr(t, key), &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}, InsecureSkipVerify: true}) //nolint:gosec // the point
			if err != nil {
				continue
			}
			if suite.Insecure {
				t.Errorf("%s takes %s", key, suite.Name)
			}
			c.Close()
		}
	}
	for key, alpn := range map[string][2]string{"c2s_tls": {"xmpp-client", "http/1.1"}, "https": {"http/1.1", "h2"}} {
		for i, proto := range alpn {
			c, err := tls.Dial("tcp", s.Addr(t, key), &tls.Config{NextProtos: []string{proto}, InsecureSkipVerify: true}) //nolint:gosec // its own certificate
			if i == 0 && (err != nil || c.ConnectionState().NegotiatedProtocol != proto) {
				t.Errorf("%s does not speak %s: %v", key, proto, err)
			} else if i == 1 && err == nil {
				t.Errorf("%s speaks %q when asked for %s", key, c.ConnectionState().NegotiatedProtocol, proto)
			}
			if err == nil {
				c.Close()
			}
		}
	}
}
