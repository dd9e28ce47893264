package caps_test

import (
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/internal/entity"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
)

func TestStreamFeature(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(caps.New(func() entity.Info { // the simple example of XEP-0115 §5.2
		return entity.Info{
			Identities: []entity.Identity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}},
			Features: []string{
				"http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info",
				"http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/muc",
			},
		}
	}))
	if got := w.Features(modules.Unauthenticated); got != "" {
		t.Errorf("before login: %s", got)
	}
	want := `<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://github.com/xmppd/xmppd' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>`
	if got := w.Features(modules.Authenticated); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
