package chat

import (
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

func TestOf(t *testing.T) {
	t.Parallel()
	const user = "<x xmlns='http://jabber.org/protocol/muc#user'/>"
	for _, tt := range []struct{ peer, children, want string }{
		{"juliet@capulet.lit/balcony", "<body>hi</body>", "juliet@capulet.lit"},
		{"juliet@capulet.lit", "<body>hi</body>", "juliet@capulet.lit"},
		{"capulet.lit", "<body>hi</body>", "capulet.lit"},
		{"coven@chat.shakespeare.lit/firstwitch", "<body>hi</body>" + user, "coven@chat.shakespeare.lit/firstwitch"},
		{"coven@chat.shakespeare.lit/firstwitch", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>" + user, "coven@chat.shakespeare.lit/firstwitch"},
		{"coven@chat.shakespeare.lit", user, "coven@chat.shakespeare.lit"},
		{"juliet@capulet.lit/balcony", "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>", "juliet@capulet.lit"},
		{"juliet@capulet.lit/balcony", "<x xmlns='jabber:x:conference' jid='coven@chat.shakespeare.lit'/>" + user, "juliet@capulet.lit"},
	} {
		var st stanza.Stanza
		if err := st.Parse([]byte("<message type='chat'>"+tt.children+"</message>"), stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := Of(&st, jid.MustParse(tt.peer)); got.String() != tt.want {
			t.Errorf("%s from %s: chat %s, want %s", tt.children, tt.peer, got, tt.want)
		}
	}
}
