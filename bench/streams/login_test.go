package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	opened    = "<?xml version='1.0'?><stream:stream id='1' from='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	features2 = "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-256</mechanism></authentication></stream:features>"
)

// turn is what a scripted server waits for and what it says then.
type turn struct{ wait, say string }

// scripted is a server that plays one dialogue on its first connection.
func scripted(t *testing.T, turns ...turn) *options {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		var got []byte
		b := make([]byte, 4096)
		for _, turn := range turns {
			for !bytes.Contains(got, []byte(turn.wait)) {
				n, err := c.Read(b)
				if err != nil {
					t.Errorf("waiting for %q, got %q: %v", turn.wait, got, err)
					return
				}
				got = append(got, b[:n]...)
			}
			got = got[bytes.Index(got, []byte(turn.wait))+len(turn.wait):]
			if _, err := io.WriteString(c, turn.say); err != nil {
				return
			}
		}
	}()
	o := newOptions("test").withLogin("resume")
	if err := o.parse([]string{"-addr", l.Addr().String(), "-tls", "none", "-sources", "0", "-timeout", "10s"}); err != nil {
		t.Fatal(err)
	}
	return o
}

func proof(token string) string {
	return base64.StdEncoding.EncodeToString(sign(hashNamed("SHA-256"), []byte(token), "Responder", ""))
}

// One packet has to be enough to resume: the server is asked nothing before it.
func TestResumesInOneRoundTrip(t *testing.T) {
	t.Parallel()
	o := scripted(t, turn{"<resume xmlns='urn:xmpp:sm:3' previd='s1' h='7'/>", opened + features2 +
		"<success xmlns='urn:xmpp:sasl:2'><additional-data>" + proof("secret") + "</additional-data>" +
		"<authorization-identifier>u0@localhost</authorization-identifier><resumed xmlns='urn:xmpp:sm:3' previd='s1' h='2'/>" +
		"<token xmlns='urn:xmpp:fast:0' token='newer' expiry='2030-01-01T00:00:00Z'/></success>" +
		"<message><body>a</body></message><r xmlns='urn:xmpp:sm:3'/>"}, turn{"<a xmlns='urn:xmpp:sm:3' h='8'/>", "</stream:stream>"})
	a := &account{name: "u0", token: "secret", previd: "s1", h: 7}
	s, err := o.login(context.Background(), a, o.kind)
	if err != nil {
		t.Fatal(err)
	}
	if !s.outcome.is(o.kind) || a.token != "newer" || a.previd != "s1" {
		t.Errorf("%+v, %+v", s.outcome, a)
	}
	s.start(nil)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream does not end")
	}
	if s.err != errEnd || a.h != 8 {
		t.Errorf("%v after %d stanzas", s.err, a.h)
	}
	s.cut()
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	success := func(inner string) string {
		return opened + features2 + "<success xmlns='urn:xmpp:sasl:2'><additional-data>" + proof("secret") + "</additional-data>" + inner + "</success>"
	}
	for name, c := range map[string]struct{ say, want string }{
		"busy":      {opened + "<stream:error><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>", "stream error resource-constraint"},
		"later":     {opened + features2 + "<failure xmlns='urn:xmpp:sasl:2'><temporary-auth-failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>", "sasl temporary-auth-failure"},
		"closed":    {opened, "connection closed"},
		"end":       {opened + features2 + "</stream:stream>", "connection closed"},
		"impostor":  {strings.Replace(success("<resumed xmlns='urn:xmpp:sm:3'/>"), proof("secret"), proof("other"), 1), errServerProof.Error()},
		"two minds": {success("<resumed xmlns='urn:xmpp:sm:3'/><bound xmlns='urn:xmpp:bind:0'/>"), "neither or both of"},
		"neither":   {success(""), "neither or both of"},
		"no id":     {success("<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3'/></bound>"), "the session cannot be resumed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := scripted(t, turn{"</authenticate>", c.say})
			_, err := o.login(context.Background(), &account{name: "u0", token: "secret", previd: "s1"}, o.kind)
			if err == nil || !strings.HasPrefix(reason(err), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Whoever lost his session is bound anew, and goes on with the new one.
func TestBoundInstead(t *testing.T) {
	t.Parallel()
	o := scripted(t, turn{"</authenticate>", opened + features2 + "<success xmlns='urn:xmpp:sasl:2'><additional-data>" + proof("secret") + "</additional-data>" +
		"<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>" +
		"<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='s2' resume='true'/></bound></success>"})
	a := &account{name: "u0", token: "secret", previd: "s1", h: 7}
	s, err := o.login(context.Background(), a, o.kind)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if s.outcome.resumed || s.outcome.is(o.kind) || a.previd != "s2" || a.h != 0 {
		t.Errorf("%+v, %+v", s.outcome, a)
	}
}
