package xmpptest

import (
	"crypto/sha1" //nolint:gosec // SCRAM-SHA-1
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

// The exchanges of RFC 5802 §5 and RFC 7677 §3.
func TestSCRAM(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ hash, nonce, challenge, response, success string }{
		{
			"SHA-1", "fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
		{
			"SHA-256", "rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	} {
		x := &scram{hash: hashOf(tt.hash), user: "user", password: "pencil", gs2: "n,,", nonce: tt.nonce}
		if got := string(x.initial()); got != "n,,n=user,r="+tt.nonce {
			t.Errorf("%s: initial response %q", tt.hash, got)
		}
		got, err := x.step([]byte(tt.challenge))
		if err != nil || string(got) != tt.response {
			t.Errorf("%s: %q, %v, want %q", tt.hash, got, err, tt.response)
		}
		if err := x.done([]byte("v=AAAA")); err == nil {
			t.Errorf("%s: takes any signature", tt.hash)
		}
		if err := x.done([]byte(tt.success)); err != nil {
			t.Errorf("%s: %v", tt.hash, err)
		}
	}
}

// What a client must not go along with.
func TestSCRAMRefuses(t *testing.T) {
	t.Parallel()
	for name, challenge := range map[string]string{
		"another nonce":    "r=abc,s=QSXCR+Q6sek8bf92,i=4096",
		"its own nonce":    "r=nonce,s=QSXCR+Q6sek8bf92,i=4096",
		"no salt":          "r=nonce1,s=,i=4096",
		"few iterations":   "r=nonce1,s=QSXCR+Q6sek8bf92,i=4095",
		"an extension":     "r=nonce1,s=QSXCR+Q6sek8bf92,i=4096,m=x",
		"another offer":    "r=nonce1,s=QSXCR+Q6sek8bf92,i=4096,h=AAAA",
		"the wrong order":  "s=QSXCR+Q6sek8bf92,r=nonce1,i=4096",
		"a mandatory part": "m=x,r=nonce1,s=QSXCR+Q6sek8bf92,i=4096",
	} {
		x := &scram{hash: sha1.New, user: "user", password: "pencil", gs2: "n,,", nonce: "nonce", offer: "BBBB"}
		x.initial()
		if _, err := x.step([]byte(challenge)); err == nil {
			t.Errorf("goes along with %s", name)
		}
		if err := x.done(nil); err == nil {
			t.Errorf("%s: takes success without a signature", name)
		}
	}
}

// The example of XEP-0474 §5.3 is about SHA-1.
func TestOffered(t *testing.T) {
	t.Parallel()
	mechanisms, bindings := []string{"SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"}, []string{"tls-server-end-point", "tls-exporter"}
	if got := offered(sha1.New, mechanisms, bindings); got != "G6k/rBLDqgOhRRaCuuatSDFkJ08=" {
		t.Errorf("XEP-0474 §5.3: %s", got)
	}
	if mechanisms[0] != "SCRAM-SHA-1-PLUS" {
		t.Error("sorts the caller's list")
	}
	sum := sha256.Sum256([]byte("PLAIN\x1eSCRAM-SHA-1"))
	if got := offered(sha256.New, []string{"SCRAM-SHA-1", "PLAIN"}, nil); got != encode(sum[:]) {
		t.Errorf("without a list of bindings: %s", got)
	}
	sum = sha256.Sum256([]byte("PLAIN\x1f"))
	if got := offered(sha256.New, []string{"PLAIN"}, []string{}); got != encode(sum[:]) {
		t.Errorf("with an empty list of bindings: %s", got)
	}
}

// The values were calculated with "openssl dgst -hmac" (draft-schmaus-kitten-sasl-ht-09 §4).
func TestHashedToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ hash, binding, initiator, responder string }{
		{"SHA-256", "", "080d9fa917c6da67702df4ff5090d8693b5f8c838c832d6f3662b6822cc7a6b9", "89c7af02627bcde98741a1090dffb254610f1e335bbf086e3b02e708ada5a682"},
		{"SHA-256", "binding", "03ec1f02613c0e1b36ef3153f626f0264adbf1bcbd545d2c6685a55f3ae925a8", "1ea8d51e06a6e8d8850df8720ca28c4a783a376e136708589895bb5d38b88d46"},
		{"SHA-512", "", "2eeacbaf1b2a72ad6361848161a0aac2c2307a65f3ab35de191697fb00cda2bac47528068a4a6ac36fec781ec2f796db9625bb07063e13bf1fb177bbf8b42c0a", "5ab88bd5c118d9c6abf17b64730014f54a31ae5da982e2ba7f0ac0018ce1bb609301689ecc88605ae9cd03542178c4566557d19411e56ff07923f60cd7f27ba8"},
	} {
		x := hashed{hash: hashOf(tt.hash), user: "romeo", token: "secret", binding: []byte(tt.binding)}
		user, proof, _ := strings.Cut(string(x.initial()), "\x00")
		if user != "romeo" || hex.EncodeToString([]byte(proof)) != tt.initiator {
			t.Errorf("%s %q: initial response %q %x", tt.hash, tt.binding, user, proof)
		}
		want, err := hex.DecodeString(tt.responder)
		if err != nil || x.done(want) != nil {
			t.Errorf("%s %q: the server should send %x", tt.hash, tt.binding, x.proof("Responder"))
		}
		if x.done(nil) == nil || x.done([]byte(proof)) == nil {
			t.Errorf("%s %q: takes what proves nothing", tt.hash, tt.binding)
		}
	}
}
