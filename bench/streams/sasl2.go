package main

import (
	"fmt"

	"github.com/xmppd/xmppd/stanza"
)

// sasl2 is the login of XEP-0388: SASL, and resume or bind with it.
func (d *dialogue) sasl2(k kind) error {
	d.outcome.token = k.fast && d.account.token != ""
	x, err := d.exchange()
	if err != nil {
		return err
	}
	request := d.request(k, x)
	if d.outcome.token && d.o.early {
		if err := d.send(d.header() + request); err != nil {
			return err
		}
		if _, err := d.want(stanza.NSStream, "features"); err != nil {
			return err
		}
	} else {
		f, err := d.features()
		if err != nil {
			return err
		}
		if err := d.able(f, k); err != nil {
			return err
		}
		if err := d.send(request); err != nil {
			return err
		}
	}
	success, err := d.converse(nsSASL2, x)
	if err != nil {
		if d.outcome.token {
			d.account.token = "" // XEP-0484 §4.1: discard it, try another mechanism
		}
		return err
	}
	return d.succeeded(success, x, k)
}

func (d *dialogue) exchange() (exchange, error) {
	if d.outcome.token {
		return newTokenExchange(d.o.tokenMechanism, d.account.name, d.account.token, d.state())
	}
	return newSCRAM(d.o.mechanism, d.account.name, d.o.password, d.o.keys, d.state())
}

// able checks that the features have what the login needs.
func (d *dialogue) able(f stanza.Elem, k kind) error {
	a := f.Child(nsSASL2, "authentication")
	inline := a.Child(nsSASL2, "inline")
	lacks := ""
	switch {
	case !a.OK():
		lacks = "SASL2"
	case !offered(a, d.o.mechanism):
		lacks = d.o.mechanism
	case !inline.Child(nsBind2, "bind").OK():
		lacks = "Bind 2"
	case k.fast && !offered(inline.Child(nsFAST, "fast"), d.o.tokenMechanism):
		lacks = "FAST with " + d.o.tokenMechanism
	case k.resume && !inline.Child(nsSM, "sm").OK():
		lacks = "inline resumption"
	default:
		return nil
	}
	return fmt.Errorf("no %s offered: %.1000s", lacks, f.Raw())
}

func (d *dialogue) request(k kind, x exchange) string {
	mechanism := d.o.mechanism
	if d.outcome.token {
		mechanism = d.o.tokenMechanism
	}
	b := stanza.NewBuilder(nil).Open("authenticate", nsSASL2).Attr("mechanism", mechanism)
	b.Text("initial-response", encode(x.initial()))
	b.Open("user-agent", "").Attr("id", d.account.agent()).Text("software", "streams").Close()
	switch {
	case d.outcome.token:
		b.Empty("fast", nsFAST)
	case k.fast:
		b.Open("request-token", nsFAST).Attr("mechanism", d.o.tokenMechanism).Close()
	}
	if k.resume && d.account.previd != "" {
		b.Raw([]byte(d.account.resumption()))
	}
	b.Open("bind", nsBind2).Text("tag", d.o.resource)
	if k.resume {
		b.Raw([]byte(enable))
	}
	return string(b.Bytes())
}

func (d *dialogue) succeeded(success stanza.Elem, x exchange, k kind) error {
	final, err := decode(success.Child(nsSASL2, "additional-data").Text())
	if err != nil {
		return err
	}
	if err := x.verify(final); err != nil {
		return err
	}
	if token, ok := success.Child(nsFAST, "token").Attr("token"); ok {
		d.account.token = token
	} else if k.fast && !d.outcome.token {
		return fmt.Errorf("no token in %.500s", success.Raw())
	}
	resumed, bound := success.Child(nsSM, "resumed"), success.Child(nsBind2, "bound")
	switch {
	case resumed.OK() == bound.OK(): // XEP-0198 §9.2: exactly one of them
		return fmt.Errorf("neither or both of <resumed/> and <bound/> in %.500s", success.Raw())
	case resumed.OK():
		d.outcome.resumed, d.outcome.managed = true, true
		return nil
	}
	d.account.previd = ""
	if !k.resume {
		return nil
	}
	return d.enabled(bound.Child(nsSM, "enabled"))
}
