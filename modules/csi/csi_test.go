package csi_test

import (
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/csi"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/stanza"
)

const (
	ns        = "urn:xmpp:csi:0"
	available = `<presence from='juliet@capulet.lit/balcony' to='romeo@capulet.lit'/>`
	away      = `<presence from='juliet@capulet.lit/balcony' to='romeo@capulet.lit'><show>away</show></presence>`
	message   = `<message from='juliet@capulet.lit/balcony' to='romeo@capulet.lit'><body>hi</body></message>`
	request   = `<presence from='nurse@capulet.lit' to='romeo@capulet.lit' type='subscribe'/>`
)

func phone(t *testing.T, limit int) (*moduletest.World, *moduletest.Client) {
	w := moduletest.New(t)
	w.Init(csi.New(func() int { return limit }))
	return w, w.Login("romeo@capulet.lit/phone")
}

// say has the client say how it is.
func say(w *moduletest.World, c *moduletest.Client, state string) {
	w.Tables.Nonza([]byte(ns), []byte(state))(&modules.Flight{Session: c.Session, From: c.JID, Owner: c.JID.Bare()})
}

func expect(t *testing.T, c *moduletest.Client, want string) {
	t.Helper()
	if got := c.Received(); got != want {
		t.Errorf("received\n%s\nwant\n%s", got, want)
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	w, _ := phone(t, 1000)
	if got := w.Features(modules.Authenticated); got != "<csi xmlns='urn:xmpp:csi:0'/>" {
		t.Errorf("after login: %s", got)
	}
	if got := w.Features(modules.Unauthenticated); got != "" {
		t.Errorf("before login: %s", got)
	}
}

func TestInactive(t *testing.T) {
	t.Parallel()
	w, c := phone(t, 1000)
	c.Outbox.Append([]byte(available))
	expect(t, c, available)

	say(w, c, "inactive")
	c.Outbox.Append([]byte(available))
	c.Outbox.Append([]byte(away))
	expect(t, c, "")
	c.Outbox.Append([]byte(message))
	expect(t, c, away+message)
	c.Outbox.Append([]byte(available))
	say(w, c, "inactive")
	expect(t, c, "")
	c.Outbox.Append([]byte(request))
	expect(t, c, available+request)

	c.Outbox.Append([]byte(away))
	expect(t, c, "")
	say(w, c, "active")
	expect(t, c, away)
	c.Outbox.Append([]byte(available))
	expect(t, c, available)
	say(w, c, "active")
	expect(t, c, "")
}

// XEP-0352 §5.2: a resumed stream is active.
func TestResumed(t *testing.T) {
	t.Parallel()
	w, c := phone(t, 1000)
	say(w, c, "inactive")
	c.Outbox.Append([]byte(away))
	w.Tables.Fire(modules.Resumed, &modules.Flight{Session: c.Session, From: c.JID, Owner: c.JID.Bare()})
	expect(t, c, away)
	c.Outbox.Append([]byte(available))
	expect(t, c, available)
}

func TestLimit(t *testing.T) {
	t.Parallel()
	w, c := phone(t, len(away))
	say(w, c, "inactive")
	c.Outbox.Append([]byte(available))
	expect(t, c, "")
	other := `<presence from='nurse@capulet.lit/kitchen' to='romeo@capulet.lit'/>`
	c.Outbox.Append([]byte(other))
	expect(t, c, available+other)

	w, c = phone(t, 0) // switched off
	say(w, c, "inactive")
	c.Outbox.Append([]byte(available))
	expect(t, c, available)
}

// XEP-0386 §3.2: the session begins as the client says.
func TestInline(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]bool{"inactive": true, "active": false} {
		w, c := phone(t, 1000)
		offered := w.Tables.Inline()
		if len(offered) != 2 {
			t.Fatalf("offered: %+v", offered)
		}
		for _, in := range offered {
			if in.Feature != ns || in.NS != ns {
				t.Errorf("offered: %+v", in)
			}
			if in.Name != name {
				continue
			}
			bound := stanza.NewBuilder(nil)
			in.Fn(&modules.Flight{Session: c.Session}, stanza.Elem{}, bound)
			if bound.Len() > 0 {
				t.Errorf("bound: %s", bound.Bytes())
			}
			c.Outbox.Append([]byte(available))
			if got := c.Received() == ""; got != held {
				t.Errorf("%s: held %v", name, got)
			}
		}
	}
}
