package blocking

import (
	"errors"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// A room whose messages are blocked hears nothing: it would take an error for the
// end of its occupant. A client that calls its message one of a room hears what
// every other hears.
func TestBlockedRoom(t *testing.T) {
	t.Parallel()
	s := &memory{lists: map[string][]string{"romeo@capulet.lit": {"coven@chat.shakespeare.lit", "tybalt@capulet.lit"}}}
	w, _ := world(t, s, nil)
	client := w.Login("tybalt@capulet.lit/a").Session
	const groupchat = "<message type='groupchat' to='romeo@capulet.lit/home'><body>x</body></message>"
	for name, c := range map[string]struct {
		from, xml string
		session   *session.Session
		silent    bool
	}{
		"room":                  {"coven@chat.shakespeare.lit/witch", groupchat, nil, true},
		"client":                {"tybalt@capulet.lit/a", groupchat, client, false},
		"chat from an occupant": {"coven@chat.shakespeare.lit/witch", "<message type='chat' to='romeo@capulet.lit/home'><body>x</body></message>", nil, false},
	} {
		_, err := w.Pass(modules.Received, modules.Check, c.from, c.xml, func(f *modules.Flight) { f.Session = c.session })
		bad, _ := errors.AsType[*stanza.Error](err)
		switch {
		case c.silent && !errors.Is(err, modules.Stop):
			t.Errorf("%s: %v", name, err)
		case !c.silent && (bad == nil || bad.Condition != "service-unavailable"):
			t.Errorf("%s: %v", name, err)
		}
	}
}
