package xmpptest

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // SCRAM-SHA-1
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// mechanism is the client's side of one SASL exchange, written apart from the
// server's so that one checks the other.
type mechanism interface {
	initial() []byte
	// step answers a challenge.
	step(challenge []byte) ([]byte, error)
	// done checks the additional data of success.
	done(data []byte) error
}

// mechanism prepares the one that is asked for.
func (c *Client) mechanism(r *Request, offer []string) (mechanism, error) {
	if r.Secret == "" {
		r.Secret = Password
	}
	if r.Mechanism == "" {
		r.Mechanism = "SCRAM-SHA-1"
	}
	if r.Mechanism == "PLAIN" {
		return plain{r.User, r.Secret}, nil
	}
	if name, ok := strings.CutPrefix(r.Mechanism, "SCRAM-"); ok {
		return c.scram(r, name, offer)
	}
	name, ok := strings.CutPrefix(r.Mechanism, "HT-")
	kind := map[string]string{"NONE": "", "EXPR": "tls-exporter", "ENDP": "tls-server-end-point"}
	i := strings.LastIndexByte(name, '-')
	if !ok || i < 0 || hashOf(name[:i]) == nil {
		return nil, fmt.Errorf("mechanism %q", r.Mechanism)
	}
	x := hashed{hash: hashOf(name[:i]), user: r.User, token: r.Secret}
	var err error
	if kind[name[i+1:]] != "" {
		x.binding, err = c.binding(kind[name[i+1:]])
	}
	return x, err
}

// hashOf is a hash by its name in mechanisms; nil if there is no such.
func hashOf(name string) func() hash.Hash {
	switch name {
	case "SHA-1":
		return sha1.New
	case "SHA-256":
		return sha256.New
	case "SHA-512":
		return sha512.New
	}
	return nil
}

// plain is RFC 4616.
type plain struct{ user, password string }

func (x plain) initial() []byte           { return []byte("\x00" + x.user + "\x00" + x.password) }
func (plain) step([]byte) ([]byte, error) { return nil, errors.New("PLAIN has no challenge") }
func (plain) done(data []byte) (err error) {
	if len(data) > 0 {
		err = fmt.Errorf("PLAIN has no additional data: %q", data)
	}
	return err
}

// hashed is HT-*, a hashed token (draft-schmaus-kitten-sasl-ht-09).
type hashed struct {
	hash        func() hash.Hash
	user, token string
	binding     []byte
}

func (x hashed) initial() []byte {
	return append([]byte(x.user+"\x00"), x.proof("Initiator")...)
}

func (x hashed) proof(role string) []byte {
	return mac(x.hash, []byte(x.token), append([]byte(role), x.binding...))
}

func (hashed) step([]byte) ([]byte, error) { return nil, errors.New("HT has no challenge") }

func (x hashed) done(data []byte) error {
	if !bytes.Equal(data, x.proof("Responder")) {
		return fmt.Errorf("the server does not know the token: %x", data)
	}
	return nil
}
