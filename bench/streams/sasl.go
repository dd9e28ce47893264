package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
)

// exchange is the client's side of a mechanism that begins with the client.
type exchange interface {
	initial() []byte
	// respond answers a challenge.
	respond(challenge []byte) ([]byte, error)
	// verify checks what the server proves with success.
	verify(final []byte) error
}

var errServerProof = errors.New("the server does not know the secret")

// keyring remembers salted passwords, as clients do (RFC 5802 §5.1): else the
// generator would compute more than the server.
type keyring struct{ known sync.Map }

type saltKey struct {
	algorithm, password, salt string
	iterations                int
}

type scramKeys struct{ client, stored, server []byte }

// maxIterations bounds what a server may ask for.
const maxIterations = 1_000_000

func (k *keyring) keys(name string, h func() hash.Hash, password string, salt []byte, iterations int) (scramKeys, error) {
	at := saltKey{name, password, string(salt), iterations}
	if v, ok := k.known.Load(at); ok {
		return v.(scramKeys), nil
	}
	salted, err := pbkdf2.Key(h, password, salt, iterations, h().Size())
	if err != nil {
		return scramKeys{}, err
	}
	keys := scramKeys{client: sign(h, salted, "Client Key"), server: sign(h, salted, "Server Key")}
	sum := h()
	sum.Write(keys.client)
	keys.stored = sum.Sum(nil)
	k.known.Store(at, keys)
	return keys, nil
}

func sign(h func() hash.Hash, key []byte, parts ...string) []byte {
	m := hmac.New(h, key)
	for _, p := range parts {
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

func hashNamed(name string) func() hash.Hash {
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

// scram is RFC 5802 without an authorization identity.
type scram struct {
	keys      *keyring
	algorithm string
	hash      func() hash.Hash
	password  string
	gs2       string // header: whether and how the channel is bound
	binding   []byte
	nonce     string
	bare      string // client-first-message-bare
	proof     []byte // that the server has to bring
}

// newSCRAM takes SCRAM-SHA-256 and the like; the -PLUS variant needs TLS.
func newSCRAM(mechanism, user, password string, keys *keyring, state *tls.ConnectionState) (*scram, error) {
	name, plus := strings.CutSuffix(mechanism, "-PLUS")
	algorithm, ok := strings.CutPrefix(name, "SCRAM-")
	s := &scram{keys: keys, algorithm: algorithm, hash: hashNamed(algorithm), password: password, gs2: "n,,"}
	if !ok || s.hash == nil {
		return nil, fmt.Errorf("unknown mechanism %q", mechanism)
	}
	if plus {
		kind := "tls-exporter"
		if state != nil && state.Version < tls.VersionTLS13 {
			kind = "tls-server-end-point"
		}
		var err error
		if s.binding, err = channelBinding(kind, state); err != nil {
			return nil, err
		}
		s.gs2 = "p=" + kind + ",,"
	}
	s.nonce = rand.Text()
	s.bare = "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user) + ",r=" + s.nonce
	return s, nil
}

func (s *scram) initial() []byte { return []byte(s.gs2 + s.bare) }

func (s *scram) respond(challenge []byte) ([]byte, error) {
	var nonce, salt64 string
	iterations := 0
	for part := range strings.SplitSeq(string(challenge), ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "r":
			nonce = value
		case "s":
			salt64 = value
		case "i":
			iterations, _ = strconv.Atoi(value)
		}
	}
	salt, err := base64.StdEncoding.DecodeString(salt64)
	if err != nil || !strings.HasPrefix(nonce, s.nonce) || iterations < 1 || iterations > maxIterations {
		return nil, fmt.Errorf("bad challenge %q", challenge)
	}
	keys, err := s.keys.keys(s.algorithm, s.hash, s.password, salt, iterations)
	if err != nil {
		return nil, err
	}
	final := "c=" + base64.StdEncoding.EncodeToString(append([]byte(s.gs2), s.binding...)) + ",r=" + nonce
	message := s.bare + "," + string(challenge) + "," + final
	s.proof = sign(s.hash, keys.server, message)
	proof := sign(s.hash, keys.stored, message)
	subtle.XORBytes(proof, proof, keys.client)
	return []byte(final + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

func (s *scram) verify(final []byte) error {
	value, _, _ := strings.Cut(string(final), ",")
	if s.proof == nil || value != "v="+base64.StdEncoding.EncodeToString(s.proof) {
		return errServerProof
	}
	return nil
}

// tokenExchange is draft-schmaus-kitten-sasl-ht-09: one message each way.
type tokenExchange struct {
	hash    func() hash.Hash
	user    string
	token   string
	binding string
}

func newTokenExchange(mechanism, user, token string, state *tls.ConnectionState) (*tokenExchange, error) {
	name, ok := strings.CutPrefix(mechanism, "HT-")
	i := strings.LastIndexByte(name, '-')
	if !ok || i < 0 || hashNamed(name[:i]) == nil {
		return nil, fmt.Errorf("unknown mechanism %q", mechanism)
	}
	t := &tokenExchange{hash: hashNamed(name[:i]), user: user, token: token}
	kind := map[string]string{"NONE": "", "ENDP": "tls-server-end-point", "EXPR": "tls-exporter"}
	binding, ok := kind[name[i+1:]]
	if !ok {
		return nil, fmt.Errorf("unknown mechanism %q", mechanism)
	}
	if binding != "" {
		data, err := channelBinding(binding, state)
		if err != nil {
			return nil, err
		}
		t.binding = string(data)
	}
	return t, nil
}

func (t *tokenExchange) initial() []byte {
	return append([]byte(t.user+"\x00"), sign(t.hash, []byte(t.token), "Initiator", t.binding)...)
}

func (t *tokenExchange) respond([]byte) ([]byte, error) {
	return nil, errors.New("challenge in a mechanism without one")
}

func (t *tokenExchange) verify(final []byte) error {
	if !hmac.Equal(final, sign(t.hash, []byte(t.token), "Responder", t.binding)) {
		return errServerProof
	}
	return nil
}

// channelBinding is the data of RFC 9266 and RFC 5929 §4.
func channelBinding(kind string, state *tls.ConnectionState) ([]byte, error) {
	if state == nil {
		return nil, errors.New("channel binding needs TLS")
	}
	if kind == "tls-exporter" {
		return state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	}
	if len(state.PeerCertificates) == 0 {
		return nil, errors.New("the server has shown no certificate")
	}
	cert := state.PeerCertificates[0]
	h := sha256.New()
	switch cert.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = sha512.New384()
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h = sha512.New()
	}
	h.Write(cert.Raw)
	return h.Sum(nil), nil
}
