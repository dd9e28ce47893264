package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

const (
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSASL2   = "urn:xmpp:sasl:2"
	nsBind2   = "urn:xmpp:bind:0"
	nsFAST    = "urn:xmpp:fast:0"
	nsSM      = "urn:xmpp:sm:3"
	nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
)

// dialogue is a login under way.
type dialogue struct {
	*wire
	o       *options
	account *account
	outcome outcome
}

// outcome tells how a login went.
type outcome struct {
	token   bool // by a token
	resumed bool
	managed bool // the session has stream management
}

// is reports whether the login was of the kind that was asked for.
func (t outcome) is(k kind) bool { return t.token == k.fast && t.resumed == k.resume }

// login opens a stream and a session, or resumes the account's. What the client
// keeps for its next login is put into the account.
func (o *options) login(ctx context.Context, a *account, k kind) (*session, error) {
	w, err := o.dial(ctx, a.index)
	if err != nil {
		return nil, err
	}
	d := &dialogue{wire: w, o: o, account: a}
	if err := d.run(k); err != nil {
		w.close()
		return nil, err
	}
	w.within(0)
	return newSession(w, a, d.outcome), nil
}

func (d *dialogue) run(k kind) error {
	if d.o.security == "starttls" {
		if err := d.startTLS(); err != nil {
			return err
		}
	}
	if k.sasl2 {
		return d.sasl2(k)
	}
	return d.sasl(k)
}

func (d *dialogue) header() string {
	return "<?xml version='1.0'?><stream:stream from='" + d.account.name + "@" + d.o.host + "' to='" + d.o.host +
		"' version='1.0' xml:lang='en' xmlns='" + stanza.NSClient + "' xmlns:stream='" + stanza.NSStream + "'>"
}

// want returns the next element, which has to have that name.
func (d *dialogue) want(ns, name string) (stanza.Elem, error) {
	st, err := d.element()
	if err != nil {
		return stanza.Elem{}, err
	}
	if root := st.Root(); root.Is(ns, name) {
		return root, nil
	}
	return stanza.Elem{}, fmt.Errorf("got %.300s instead of <%s xmlns='%s'/>", st.Raw(), name, ns)
}

func (d *dialogue) features() (stanza.Elem, error) {
	if err := d.send(d.header()); err != nil {
		return stanza.Elem{}, err
	}
	return d.want(stanza.NSStream, "features")
}

func (d *dialogue) startTLS() error {
	f, err := d.features()
	if err != nil {
		return err
	}
	if !f.Child(nsTLS, "starttls").OK() {
		return errors.New("no STARTTLS offered")
	}
	if err := d.send("<starttls xmlns='" + nsTLS + "'/>"); err != nil {
		return err
	}
	if _, err := d.want(nsTLS, "proceed"); err != nil {
		return err
	}
	return d.secure(d.o.tls)
}

func (d *dialogue) state() *tls.ConnectionState {
	if d.tls == nil {
		return nil
	}
	s := d.tls.ConnectionState()
	return &s
}

func encode(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}

func decode(text string) ([]byte, error) {
	if text = strings.TrimSpace(text); text == "=" {
		return nil, nil
	}
	return base64.StdEncoding.DecodeString(text)
}

// offered looks for a <mechanism/> in e.
func offered(e stanza.Elem, name string) bool {
	for c := range e.Children() {
		if string(c.Name()) == "mechanism" && c.Text() == name {
			return true
		}
	}
	return false
}

// converse answers challenges until the server has decided, and returns its
// <success/>. Both profiles of SASL look the same here.
func (d *dialogue) converse(ns string, x exchange) (stanza.Elem, error) {
	for {
		st, err := d.element()
		if err != nil {
			return stanza.Elem{}, err
		}
		root := st.Root()
		switch {
		case root.Is(ns, "success"):
			return root, nil
		case root.Is(ns, "failure"):
			return stanza.Elem{}, refusal("sasl " + string(root.First().Name()))
		case !root.Is(ns, "challenge"):
			return stanza.Elem{}, fmt.Errorf("got %.300s during the login", st.Raw())
		}
		challenge, err := decode(root.Text())
		if err != nil {
			return stanza.Elem{}, err
		}
		response, err := x.respond(challenge)
		if err != nil {
			return stanza.Elem{}, err
		}
		if err := d.send("<response xmlns='" + ns + "'>" + encode(response) + "</response>"); err != nil {
			return stanza.Elem{}, err
		}
	}
}
