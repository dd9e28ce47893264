package transport

import (
	"crypto/tls"
	"sync"
)

// certifiers remember what has been made of each configuration.
type certifiers struct{ of sync.Map } // *tls.Config → *tls.Config

// certified returns a configuration that does the same as cfg and notes which
// certificate a connection is given, for channel binding (RFC 5929 §4). One
// without GetCertificate, or with GetConfigForClient, is returned as it is.
func (c *certifiers) certified(cfg *tls.Config) *tls.Config {
	if cfg.GetCertificate == nil || cfg.GetConfigForClient != nil {
		return cfg
	}
	known, ok := c.of.Load(cfg)
	if !ok {
		n := &certifier{base: cfg, by: make(map[*tls.Certificate]*tls.Config)}
		made := cfg.Clone()
		made.GetConfigForClient = n.configFor
		known, _ = c.of.LoadOrStore(cfg, made)
	}
	return known.(*tls.Config)
}

// certifier has one configuration for each certificate.
type certifier struct {
	base *tls.Config
	mu   sync.Mutex
	by   map[*tls.Certificate]*tls.Config
}

// maxCertificates is how many are remembered, those before a reload among them.
const maxCertificates = 256

// configFor implements tls.Config.GetConfigForClient.
func (n *certifier) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	cert, err := n.base.GetCertificate(hello)
	if err != nil || cert == nil || len(cert.Certificate) == 0 {
		return nil, err
	}
	if s, ok := hello.Conn.(*sock); ok {
		s.leaf = cert.Certificate[0]
		s.hold()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if cfg := n.by[cert]; cfg != nil {
		return cfg, nil
	}
	if len(n.by) >= maxCertificates {
		clear(n.by)
	}
	cfg := n.base.Clone()
	cfg.Certificates, cfg.GetCertificate = []tls.Certificate{*cert}, nil
	// The certificate of a resumed TLS session is that of its first handshake. With
	// ticket keys of its own the configuration takes no sessions of another one.
	cfg.WrapSession, cfg.UnwrapSession = cfg.EncryptTicket, cfg.DecryptTicket
	n.by[cert] = cfg
	return cfg, nil
}

// Certificate is the one that the peer was given.
func (l *link) Certificate() []byte {
	if l.proxied {
		return nil
	}
	return l.s.leaf
}
