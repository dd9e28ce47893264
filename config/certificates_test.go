package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pair makes a self-signed certificate for name and its key, in PEM.
func pair(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, folder := range []string{"certs/example.net", "certs/other", "empty", "bad"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := pair(t, "example.org")
	_, otherKey := pair(t, "example.org")
	for path, text := range map[string]string{"a.crt": cert, "a.key": key, "other.key": otherKey, "junk": "junk"} {
		write(t, filepath.Join(dir, path), text)
	}
	cert, key = pair(t, "example.com")
	write(t, filepath.Join(dir, "certs", "example.com.crt"), cert)
	write(t, filepath.Join(dir, "certs", "example.com.key"), key)
	cert, key = pair(t, "example.net")
	write(t, filepath.Join(dir, "certs", "example.net", "fullchain.pem"), cert)
	write(t, filepath.Join(dir, "certs", "example.net", "privkey.pem"), key)
	write(t, filepath.Join(dir, "certs", "README"), "not a certificate")
	write(t, filepath.Join(dir, "bad", "x.crt"), cert)
	write(t, filepath.Join(dir, "bad", "y.crt"), "junk")
	write(t, filepath.Join(dir, "bad", "y.key"), key)

	for _, test := range []struct {
		name, tls string
		names     []string
		want      string
	}{
		{"none", "", nil, ""},
		{"a pair", "cert_file: DIR/a.crt\n  key_file: DIR/a.key", []string{"example.org"}, ""},
		{"a folder", "cert_dir: DIR/certs", []string{"example.com", "example.net"}, ""},
		{"both", "cert_dir: DIR/certs\n  cert_file: DIR/a.crt\n  key_file: DIR/a.key", []string{"example.org", "example.com", "example.net"}, ""},
		{"no certificate", "cert_file: DIR/none\n  key_file: DIR/a.key", nil, `xmppd.yml:2: tls.cert_file: "DIR/none" cannot be read: no such file or directory`},
		{"no key", "cert_file: DIR/a.crt\n  key_file: DIR/none", nil, `xmppd.yml:3: tls.key_file: "DIR/none" cannot be read: no such file or directory`},
		{"neither", "cert_file: DIR/none\n  key_file: DIR/nothing", nil, `xmppd.yml:2: tls.cert_file: "DIR/none" cannot be read: no such file or directory
xmppd.yml:3: tls.key_file: "DIR/nothing" cannot be read: no such file or directory`},
		{"junk as certificate", "cert_file: DIR/junk\n  key_file: DIR/a.key", nil, `xmppd.yml:2: tls.cert_file: "DIR/junk" holds no certificate in PEM`},
		{"junk as key", "cert_file: DIR/a.crt\n  key_file: DIR/junk", nil, `xmppd.yml:3: tls.key_file: "DIR/junk" holds no usable private key in PEM`},
		{"swapped", "cert_file: DIR/a.key\n  key_file: DIR/a.crt", nil, `xmppd.yml:2: tls.cert_file: "DIR/a.key" holds no certificate in PEM`},
		{"another key", "cert_file: DIR/a.crt\n  key_file: DIR/other.key", nil, `xmppd.yml:3: tls.key_file: "DIR/other.key" is not the key of DIR/a.crt`},
		{"no folder", "cert_dir: DIR/none", nil, `xmppd.yml:2: tls.cert_dir: "DIR/none" cannot be read: no such file or directory`},
		{"an empty folder", "cert_dir: DIR/empty", nil, `xmppd.yml:2: tls.cert_dir: "DIR/empty" holds no certificate: neither NAME.crt nor NAME/fullchain.pem`},
		{"two bad pairs", "cert_dir: DIR/bad", nil, `xmppd.yml:2: tls.cert_dir: "DIR/bad/x.key" cannot be read: no such file or directory
xmppd.yml:2: tls.cert_dir: "DIR/bad/y.crt" holds no certificate in PEM`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, problems := loadText(t, strings.ReplaceAll("tls:\n  "+test.tls, "DIR", dir))
			if problems != "" {
				t.Fatal(problems)
			}
			list, _ := c.Certificates()
			var names []string
			for _, cert := range list {
				names = append(names, cert.Leaf.DNSNames...)
			}
			if diff := cmp.Diff(test.names, names); diff != "" {
				t.Error(diff)
			}
			got := strings.ReplaceAll(relative(c.Check(), c.Source()), dir, "DIR")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckDataDir(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	c, _ := loadText(t, "\ndata_dir: "+file)
	want := fmt.Sprintf("xmppd.yml:2: data_dir: %q is not a folder", file)
	if got := relative(c.Check(), c.Source()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
