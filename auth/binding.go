package auth

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"hash"
	"slices"
	"strings"
)

// The types of channel binding that are known here.
const (
	tlsExporter = "tls-exporter"         // RFC 9266
	tlsEndPoint = "tls-server-end-point" // RFC 5929 §4
)

// Binding is what ties a login to the TLS connection that it is made on, so that
// nobody who sits in between can pass it on.
type Binding struct {
	Type string // as in the registry of RFC 5056
	// Data computes the channel-binding data. It is called by the goroutine of
	// the exchange, only if the client asks for this type.
	Data func() ([]byte, error)
}

// TLSBindings lists the bindings of a connection whose TLS ends here, strongest
// first. leaf is the DER of the certificate that this connection was given, on a
// resumed session that of the session's first connection; nil if it is not known.
//
// There is no tls-exporter before TLS 1.3, where it would depend on an extension
// (RFC 9266 §2) of which the standard library does not tell.
func TLSBindings(state *tls.ConnectionState, leaf []byte) []Binding {
	if state == nil || !state.HandshakeComplete {
		return nil
	}
	var list []Binding
	if state.Version >= tls.VersionTLS13 {
		list = append(list, Binding{tlsExporter, func() ([]byte, error) {
			return state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		}})
	}
	if h := endPointHash(leaf); h != nil {
		list = append(list, Binding{tlsEndPoint, func() ([]byte, error) {
			sum := h()
			sum.Write(leaf)
			return sum.Sum(nil), nil
		}})
	}
	return list
}

// endPointHash is the hash that the certificate was signed with (RFC 5929 §4.1),
// nil if none is defined for it: so it is with Ed25519, where OpenSSL knows no
// digest either and clients such as Conversations fail. Whoever offered a guess
// would lock out all clients that guess otherwise.
func endPointHash(leaf []byte) func() hash.Hash {
	if leaf == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil
	}
	switch cert.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1, // both replaced
		x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.DSAWithSHA256, x509.ECDSAWithSHA256:
		return sha256.New
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return sha512.New384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return sha512.New
	}
	return nil
}

// binding returns the one of a type, nil if the connection has none.
func (c *Conn) binding(kind string) *Binding {
	for i := range c.Bindings {
		if c.Bindings[i].Type == kind {
			return &c.Bindings[i]
		}
	}
	return nil
}

// BindingTypes lists what is to be announced by XEP-0440, strongest first; empty
// if no mechanism with channel binding is offered.
func (b *Backend) BindingTypes(c Conn) []string {
	types := make([]string, len(c.Bindings))
	for i := range c.Bindings {
		types[i] = c.Bindings[i].Type
	}
	return types
}

// offer is what a client checks in order to find out that nobody took something
// from the lists that it was sent (XEP-0474 §6.1), before it is hashed. It sorts
// the lists.
func offer(mechanisms, bindings []string) string {
	const between, behind = "\x1e", "\x1f"
	slices.Sort(mechanisms)
	s := strings.Join(mechanisms, between)
	if len(bindings) > 0 {
		slices.Sort(bindings)
		s += behind + strings.Join(bindings, between)
	}
	return s
}

// bind finds out which data the client has to prove that it sees too, nil for
// none. What goes wrong here depends on the connection and not on the account.
func (x *Exchange) bind(first *clientFirst) ([]byte, *Failure) {
	switch {
	case first.flag == 'y' && len(x.conn.Bindings) > 0:
		// RFC 5802 §6: somebody has hidden them from the client.
		return nil, malformed("channel binding is supported here")
	case first.flag != 'p' && x.plus:
		return nil, malformed("this mechanism needs channel binding")
	case first.flag != 'p':
		return nil, nil
	case !x.plus:
		return nil, malformed("channel binding needs a mechanism with -PLUS")
	}
	return x.bindingData(first.binding)
}

func (x *Exchange) bindingData(kind string) ([]byte, *Failure) {
	found := x.conn.binding(kind)
	if found == nil {
		return nil, malformed("unsupported channel binding type") // RFC 5802 §6
	}
	data, err := found.Data()
	if err != nil {
		return nil, unavailable(err)
	}
	return data, nil
}
