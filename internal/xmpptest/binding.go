package xmpptest

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	_ "crypto/sha256" // of end points
	_ "crypto/sha512"
)

// binding is the channel-binding data of the connection.
func (c *Client) binding(kind string) ([]byte, error) {
	conn, ok := c.w.conn().(*tls.Conn)
	if !ok {
		return nil, errors.New("channel binding without TLS")
	}
	state := conn.ConnectionState()
	switch kind {
	case "tls-exporter": // RFC 9266 §2
		return state.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
	case "tls-server-end-point":
		return endPoint(state.PeerCertificates[0])
	}
	return nil, fmt.Errorf("channel binding %q", kind)
}

// endPoint is RFC 5929 §4.1.
func endPoint(cert *x509.Certificate) ([]byte, error) {
	var h crypto.Hash
	switch cert.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		h = crypto.SHA256 // MD5 and SHA-1 are replaced by it
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h = crypto.SHA512
	default:
		return nil, fmt.Errorf("no end point is defined for a signature by %v", cert.SignatureAlgorithm)
	}
	sum := h.New()
	sum.Write(cert.Raw)
	return sum.Sum(nil), nil
}

// Bindings are the types of channel binding that the server lists (XEP-0440),
// nil if it has no such list.
func (c *Client) Bindings() []string {
	list := c.Features.Child("urn:xmpp:sasl-cb:0", "sasl-channel-binding")
	if list == nil {
		return nil
	}
	all := []string{}
	for _, e := range list.Children() {
		all = append(all, e.Attr("type"))
	}
	return all
}

// strongest is the binding that a client takes (XEP-0440 §4).
func (c *Client) strongest() string {
	for _, kind := range []string{"tls-exporter", "tls-server-end-point"} {
		if slices.Contains(c.Bindings(), kind) {
			return kind
		}
	}
	return ""
}

// Mechanisms are what is offered for SASL.
func (c *Client) Mechanisms() []string { return texts(c.Features.Child(nsSASL, "mechanisms")) }

// Mechanisms2 are what is offered for SASL2 (XEP-0388), and those of FAST (XEP-0484).
func (c *Client) Mechanisms2() (passwords, tokens []string) {
	e := c.Features.Child(nsSASL2, "authentication")
	return texts(e), texts(e.Find(nsSASL2, "inline", nsFAST, "fast"))
}

func texts(e *Element) []string {
	if e == nil {
		return nil
	}
	var all []string
	for _, m := range e.Children() {
		if m.Name == "mechanism" && m.Space == e.Space {
			all = append(all, m.Text())
		}
	}
	return all
}

// Find is the descendant at the end of a path of namespaces and names; nil if
// there is none, or e is nil.
func (e *Element) Find(path ...string) *Element {
	for ; e != nil && len(path) > 0; path = path[2:] {
		e = e.Child(path[0], path[1])
	}
	return e
}
