package entity_test

import (
	"testing"

	"github.com/xmppd/xmppd/modules/internal/dataform"
	"github.com/xmppd/xmppd/modules/internal/entity"
	"github.com/xmppd/xmppd/stanza"
)

// The examples of XEP-0115 §5.2 and §5.3, with everything out of order.
func TestVer(t *testing.T) {
	t.Parallel()
	features := []string{
		"http://jabber.org/protocol/muc", "http://jabber.org/protocol/disco#items",
		"http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info",
	}
	tests := []struct {
		name string
		info entity.Info
		want string
	}{
		{
			"simple",
			entity.Info{Identities: []entity.Identity{{"client", "pc", "", "Exodus 0.9.1"}}, Features: features},
			"QgayPKawpkPSDYmwT/WM94uAlu0=",
		},
		{
			"complex",
			entity.Info{
				Identities: []entity.Identity{{"client", "pc", "en", "Psi 0.11"}, {"client", "pc", "el", "Ψ 0.11"}},
				Features:   features,
				Forms: []dataform.Form{{Type: "urn:xmpp:dataforms:softwareinfo", Fields: []dataform.Field{
					{Var: "software_version", Values: []string{"0.11"}},
					{Var: "ip_version", Values: []string{"ipv6", "ipv4"}},
					{Var: "os", Values: []string{"Mac"}},
					{Var: "os_version", Values: []string{"10.5.1"}},
					{Var: "software", Values: []string{"Psi"}},
				}}},
			},
			"q07IKJEyjvHSyhy//CH0CxmKi8w=",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.info.Ver(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	b := stanza.NewBuilder(nil)
	entity.Info{
		Identities: []entity.Identity{{"server", "im", "", "x'd"}, {"client", "pc", "el", ""}},
		Features:   []string{"a"},
		Forms:      []dataform.Form{{Type: "t"}},
	}.Write(b)
	want := `<identity category='server' type='im' name='x&apos;d'/><identity category='client' type='pc' xml:lang='el'/>` +
		`<feature var='a'/><x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>t</value></field></x>`
	if got := string(b.Bytes()); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
