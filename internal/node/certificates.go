package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/net/idna"

	"github.com/xmppd/xmppd/config"
)

// certificates holds the ones in use; a reload swaps them and drops nobody.
type certificates struct {
	list       atomic.Pointer[[]tls.Certificate]
	selfSigned atomic.Bool
}

// loadCertificates reads those of the configuration, or makes a self-signed
// one in data_dir that stays the same over restarts.
func loadCertificates(cfg *config.Config) (*certificates, error) {
	c := new(certificates)
	return c, c.load(cfg)
}

func (c *certificates) load(cfg *config.Config) error {
	list, problems := cfg.Certificates()
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = errors.New(p.String())
		}
		return errors.Join(errs...)
	}
	self := len(list) == 0
	if self {
		names := make([]string, len(cfg.Domains))
		for i, d := range cfg.Domains {
			if names[i], _ = idna.ToASCII(d); names[i] == "" {
				names[i] = d
			}
		}
		own, err := selfSigned(cfg.DataDir, names)
		if err != nil {
			return fmt.Errorf("make a self-signed certificate: %w", err)
		}
		list = []tls.Certificate{own}
	}
	c.list.Store(&list)
	c.selfSigned.Store(self)
	return nil
}

// config is the TLS configuration of a listener.
func (c *certificates) config() *tls.Config { return tlsConfig(c.choose) }

// choose is the certificate for the name that the client asked for (RFC 6120
// §13.7.1.2.1), else the first.
func (c *certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	list := *c.list.Load()
	for i := range list {
		if hello.ServerName != "" && list[i].Leaf != nil && list[i].Leaf.VerifyHostname(hello.ServerName) == nil &&
			hello.SupportsCertificate(&list[i]) == nil {
			return &list[i], nil
		}
	}
	return &list[0], nil
}

// selfSigned loads or makes data_dir/self-signed.pem: key and certificate for
// all domains. It is made again when the domains change or it is about to expire.
func selfSigned(dir string, domains []string) (tls.Certificate, error) {
	path := filepath.Join(dir, "self-signed.pem")
	if cert, err := tls.LoadX509KeyPair(path, path); err == nil && covers(cert.Leaf, domains) {
		return cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: domains[0]}, DNSNames: domains,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return tls.Certificate{}, err
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(text, text)
}

func covers(leaf *x509.Certificate, domains []string) bool {
	if leaf == nil || time.Until(leaf.NotAfter) < 30*24*time.Hour {
		return false
	}
	for _, d := range domains {
		if leaf.VerifyHostname(d) != nil {
			return false
		}
	}
	return true
}
