package xmpptest

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
)

var encode, decode = base64.StdEncoding.EncodeToString, base64.StdEncoding.DecodeString

func mac(h func() hash.Hash, key, data []byte) []byte {
	m := hmac.New(h, key)
	m.Write(data)
	return m.Sum(nil)
}

// scram is RFC 5802 with channel binding.
type scram struct {
	hash           func() hash.Hash
	user, password string
	gs2            string // header: "n,,", "y,,", "p=tls-exporter,,"
	binding        []byte // channel-binding data
	offer          string // hash of what was offered, as XEP-0474 §5.1 has it
	guarded        bool   // the server has confirmed the offer
	first, nonce   string
	signature      []byte // that the server has to send
	verified       bool
}

func (c *Client) scram(r *Request, name string, offer []string) (_ *scram, err error) {
	name, plus := strings.CutSuffix(name, "-PLUS")
	x := &scram{hash: hashOf(name), user: r.User, password: r.Secret, gs2: "n,,"}
	if x.hash == nil {
		return nil, fmt.Errorf("mechanism %q", r.Mechanism)
	}
	if plus {
		kind := r.Binding
		if kind == "" {
			kind = c.strongest()
		}
		x.gs2 = "p=" + kind + ",,"
		if x.binding, err = c.binding(kind); err != nil {
			return nil, err
		}
	}
	if r.GS2 != "" {
		x.gs2 = r.GS2
	}
	x.offer = offered(x.hash, offer, c.Bindings())
	return x, nil
}

func (x *scram) initial() []byte {
	if x.nonce == "" {
		x.nonce = rand.Text()
	}
	x.first = "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(x.user) + ",r=" + x.nonce
	return []byte(x.gs2 + x.first)
}

func (x *scram) step(challenge []byte) ([]byte, error) {
	if x.signature != nil {
		return nil, x.done(challenge) // RFC 6120 §6.3.10: success without data
	}
	var nonce, salt, h string
	iterations := 0
	for i, attr := range strings.Split(string(challenge), ",") {
		name, value, _ := strings.Cut(attr, "=")
		switch {
		case name == "r" && i == 0:
			nonce = value
		case name == "s" && i == 1:
			salt = value
		case name == "i" && i == 2:
			iterations, _ = strconv.Atoi(value)
		case name == "h" && i > 2:
			h = value
		default:
			return nil, fmt.Errorf("attribute %d of %q", i, challenge)
		}
	}
	key, err := decode(salt)
	switch {
	case err != nil || salt == "" || iterations < 4096:
		return nil, fmt.Errorf("salt or iterations: %q", challenge)
	case !strings.HasPrefix(nonce, x.nonce) || nonce == x.nonce:
		return nil, fmt.Errorf("nonce: %q", challenge)
	case h != "" && h != x.offer:
		return nil, fmt.Errorf("XEP-0474: the server offered something else than what arrived: h=%s, not %s", h, x.offer)
	}
	x.guarded = h != ""
	salted, err := pbkdf2.Key(x.hash, x.password, key, iterations, x.hash().Size())
	if err != nil {
		return nil, err
	}
	final := "c=" + encode(append([]byte(x.gs2), x.binding...)) + ",r=" + nonce
	message := []byte(x.first + "," + string(challenge) + "," + final)
	proof := mac(x.hash, salted, []byte("Client Key"))
	stored := x.hash()
	stored.Write(proof)
	for i, b := range mac(x.hash, stored.Sum(nil), message) {
		proof[i] ^= b
	}
	x.signature = mac(x.hash, mac(x.hash, salted, []byte("Server Key")), message)
	return []byte(final + ",p=" + encode(proof)), nil
}

func (x *scram) done(data []byte) error {
	if x.verified && len(data) == 0 {
		return nil
	}
	if x.signature == nil || string(data) != "v="+encode(x.signature) {
		return fmt.Errorf("the server's signature is wrong: %q", data)
	}
	x.verified = true
	return nil
}

// offered is the hash of XEP-0474 §5.1; bindings is nil if the server did not
// list any (XEP-0440).
func offered(h func() hash.Hash, mechanisms, bindings []string) string {
	s := strings.Join(slices.Sorted(slices.Values(mechanisms)), "\x1e")
	if bindings != nil {
		s += "\x1f" + strings.Join(slices.Sorted(slices.Values(bindings)), "\x1e")
	}
	sum := h()
	sum.Write([]byte(s))
	return encode(sum.Sum(nil))
}
