package carbons_test

import (
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// What a session of one node wants the others know, and copies reach it there.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	a, b := xmpptest.Pair(t, xmpptest.SQLite)
	home, phone := a.Login(t, xmpptest.TCP, "romeo@localhost/home"), b.Login(t, xmpptest.WebSocket, "romeo@localhost/phone")
	balcony, tablet := b.Login(t, xmpptest.WebSocket, "juliet@localhost/balcony"), a.Login(t, xmpptest.TCP, "juliet@localhost/tablet")
	for _, c := range []*xmpptest.Client{phone, tablet, balcony} {
		c.Send("<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
		c.Expect("<iq type='result' id='e' to='" + c.JID.String() + "'/>")
	}
	const content = "type='chat' id='1'><body>across</body>"
	const inner = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' xml:lang='en' " +
		"from='romeo@localhost/home' to='juliet@localhost/balcony' " + content + "</message></forwarded>"
	home.Send("<message to='juliet@localhost/balcony' " + content + "</message>")
	balcony.Expect("<message from='romeo@localhost/home' to='juliet@localhost/balcony' " + content + "</message>")
	phone.Expect("<message from='romeo@localhost' to='romeo@localhost/phone' type='chat'><sent xmlns='urn:xmpp:carbons:2'>" + inner + "</sent></message>")
	tablet.Expect("<message from='juliet@localhost' to='juliet@localhost/tablet' type='chat'><received xmlns='urn:xmpp:carbons:2'>" + inner + "</received></message>")

	phone.Send("<iq type='set' id='d'><disable xmlns='urn:xmpp:carbons:2'/></iq>")
	phone.Expect("<iq type='result' id='d' to='romeo@localhost/phone'/>")
	home.Send("<message to='juliet@localhost/tablet'><body>x</body></message>")
	tablet.Expect("<message from='romeo@localhost/home' to='juliet@localhost/tablet'><body>x</body></message>")
	for _, c := range []*xmpptest.Client{home, phone, tablet} {
		c.ExpectNothing()
	}
}
