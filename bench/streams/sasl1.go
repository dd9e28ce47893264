package main

import (
	"fmt"
	"strconv"

	"github.com/xmppd/xmppd/stanza"
)

// sasl is the login of RFC 6120: SASL, a new stream, then resume or bind.
func (d *dialogue) sasl(k kind) error {
	f, err := d.features()
	if err != nil {
		return err
	}
	if !offered(f.Child(nsSASL, "mechanisms"), d.o.mechanism) {
		return fmt.Errorf("no %s offered: %.500s", d.o.mechanism, f.Raw())
	}
	x, err := newSCRAM(d.o.mechanism, d.account.name, d.o.password, d.o.keys, d.state())
	if err != nil {
		return err
	}
	if err := d.send("<auth xmlns='" + nsSASL + "' mechanism='" + d.o.mechanism + "'>" + encode(x.initial()) + "</auth>"); err != nil {
		return err
	}
	success, err := d.converse(nsSASL, x)
	if err != nil {
		return err
	}
	final, err := decode(success.Text())
	if err != nil {
		return err
	}
	if err := x.verify(final); err != nil {
		return err
	}
	d.restart()
	if f, err = d.features(); err != nil {
		return err
	}
	if k.resume && !f.Child(nsSM, "sm").OK() {
		return fmt.Errorf("no stream management offered: %.500s", f.Raw())
	}
	if k.resume && d.account.previd != "" {
		if done, err := d.resume(); done || err != nil {
			return err
		}
	}
	return d.bind(k)
}

// resume reports whether the session goes on.
func (d *dialogue) resume() (bool, error) {
	if err := d.send(d.account.resumption()); err != nil {
		return false, err
	}
	st, err := d.element()
	if err != nil {
		return false, err
	}
	switch root := st.Root(); {
	case root.Is(nsSM, "resumed"):
		d.outcome.resumed, d.outcome.managed = true, true
		return true, nil
	case root.Is(nsSM, "failed"):
		d.account.previd = ""
		return false, nil
	}
	return false, fmt.Errorf("got %.300s instead of <resumed/>", st.Raw())
}

func (a *account) resumption() string {
	return string(stanza.NewBuilder(nil).Open("resume", nsSM).Attr("previd", a.previd).Attr("h", strconv.FormatUint(uint64(a.h), 10)).Bytes())
}

const enable = "<enable xmlns='" + nsSM + "' resume='true'/>"

func (d *dialogue) bind(k kind) error {
	err := d.send("<iq type='set' id='bind'><bind xmlns='" + nsBind + "'><resource>" + d.o.resource + "</resource></bind></iq>")
	if err != nil {
		return err
	}
	iq, err := d.want(stanza.NSClient, "iq")
	if err != nil {
		return err
	}
	if !iq.Child(nsBind, "bind").OK() {
		return fmt.Errorf("bind: %.300s", iq.Raw())
	}
	if !k.resume {
		return nil
	}
	if err := d.send(enable); err != nil {
		return err
	}
	enabled, err := d.want(nsSM, "enabled")
	if err != nil {
		return err
	}
	return d.enabled(enabled)
}

// enabled takes note of <enabled/>: the counters of XEP-0198 begin with it.
func (d *dialogue) enabled(e stanza.Elem) error {
	id, _ := e.Attr("id")
	if id == "" {
		return fmt.Errorf("the session cannot be resumed: %.300s", e.Raw())
	}
	d.account.previd, d.account.h = id, 0
	d.outcome.managed = true
	return nil
}
