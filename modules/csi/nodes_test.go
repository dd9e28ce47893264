package csi_test

import (
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// What comes from another node waits as well.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	a, b := xmpptest.Pair(t, xmpptest.SQLite)
	phone := a.Login(t, xmpptest.TCP, "romeo@localhost/phone")
	phone.Send("<inactive xmlns='urn:xmpp:csi:0'/>")
	phone.ExpectNothing()
	state := func(from, name string) string {
		return "<message" + from + " to='romeo@localhost/phone' type='chat'><" + name + " xmlns='http://jabber.org/protocol/chatstates'/></message>"
	}
	var last string
	for _, from := range []struct {
		*xmpptest.Server
		resource string
	}{{a, "balcony"}, {b, "garden"}, {a, "tomb"}, {b, "hall"}} {
		juliet := from.Login(t, xmpptest.TCP, "juliet@localhost/"+from.resource)
		juliet.Send(state("", "composing") + state("", "paused"))
		juliet.ExpectNothing()
		last += state(" from='"+juliet.JID.String()+"'", "paused")
	}
	phone.Send("<active xmlns='urn:xmpp:csi:0'/>")
	phone.Expect(last)
	phone.ExpectNothing()
}
