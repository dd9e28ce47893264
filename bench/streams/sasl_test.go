package main

import (
	"encoding/hex"
	"testing"
)

func TestSCRAM(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ mechanism, nonce, challenge, response, final string }{
		{ // RFC 5802 §5
			"SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
		{ // RFC 7677 §3
			"SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	} {
		keys := new(keyring)
		for range 2 { // the second time with remembered keys
			s, err := newSCRAM(c.mechanism, "user", "pencil", keys, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.nonce, s.bare = c.nonce, "n=user,r="+c.nonce
			if got, err := s.respond([]byte(c.challenge)); err != nil || string(got) != c.response {
				t.Errorf("%s: %s, %v", c.mechanism, got, err)
			}
			if err := s.verify([]byte(c.final)); err != nil {
				t.Errorf("%s: %v", c.mechanism, err)
			}
			if s.verify([]byte("v=AAAA")) == nil {
				t.Errorf("%s: took a wrong proof of the server", c.mechanism)
			}
		}
	}
}

func TestSCRAMRefusesChallenges(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{
		"", "r=other,s=QSXCR+Q6sek8bf92,i=4096", "r=nonce1,s=?,i=4096", "r=nonce1,s=QSXCR+Q6sek8bf92,i=0", "r=nonce1,s=QSXCR+Q6sek8bf92,i=99999999",
	} {
		s, err := newSCRAM("SCRAM-SHA-1", "user", "pencil", new(keyring), nil)
		if err != nil {
			t.Fatal(err)
		}
		s.nonce = "nonce"
		if got, err := s.respond([]byte(challenge)); err == nil {
			t.Errorf("%q was answered by %q", challenge, got)
		}
	}
}

func TestSCRAMName(t *testing.T) {
	t.Parallel()
	s, err := newSCRAM("SCRAM-SHA-512", "a=b,c", "", new(keyring), nil)
	if err != nil || string(s.initial()) != "n,,n=a=3Db=2Cc,r="+s.nonce {
		t.Errorf("%s, %v", s.initial(), err)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	const (
		token     = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm"
		initiator = "9097787461a184e0fa84ec00c1381190b6c4d16a8ec4453c7b2ac5e7fcf935ed" // HMAC-SHA-256 of "Initiator"
		responder = "4e513409631474863b986c9f3e8c1e27ca29d1d7ab9ed4097e7afd6007bf9c62" // of "Responder"
	)
	x, err := newTokenExchange("HT-SHA-256-NONE", "juliet", token, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(x.initial()); got != hex.EncodeToString([]byte("juliet\x00"))+initiator {
		t.Errorf("initial response %s", got)
	}
	proof, _ := hex.DecodeString(responder)
	if err := x.verify(proof); err != nil {
		t.Error(err)
	}
	if proof[0]++; x.verify(proof) == nil || x.verify(nil) == nil {
		t.Error("took a wrong proof of the server")
	}
}

func TestUnknownMechanisms(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "HT-", "HT-NONE", "HT-SHA-3-NONE", "HT-SHA-256-UNIQ", "SCRAM-SHA-256", "HT-SHA-256-EXPR"} {
		if _, err := newTokenExchange(name, "u", "t", nil); err == nil {
			t.Errorf("%q is no mechanism for tokens without TLS", name)
		}
	}
	for _, name := range []string{"", "PLAIN", "SCRAM-SHA-3", "SHA-1", "SCRAM-SHA-1-PLUS"} {
		if _, err := newSCRAM(name, "u", "p", new(keyring), nil); err == nil {
			t.Errorf("%q is no mechanism for passwords without TLS", name)
		}
	}
}
