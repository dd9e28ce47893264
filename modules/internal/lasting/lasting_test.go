package lasting

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

func TestLasting(t *testing.T) {
	t.Parallel()
	const (
		body     = `<body>hi</body>`
		composes = `<composing xmlns='http://jabber.org/protocol/chatstates'/>`
		noStore  = `<no-store xmlns='urn:xmpp:hints'/>`
		store    = `<store xmlns='urn:xmpp:hints'/>`
	)
	tests := []struct {
		name, attrs, children string
		want                  bool
	}{
		{"normal", "", body, true},
		{"chat", " type='chat'", body, true},
		{"unknown type is normal", " type='mood'", body, true},
		{"groupchat", " type='groupchat'", body, false},
		{"headline", " type='headline'", body, false},
		{"error", " type='error'", body + `<error type='cancel'/>`, false},
		{"error that is to be stored", " type='error'", store, false},
		{"subject", "", `<subject>news</subject>`, true},
		{"nothing", " type='chat'", "", false},
		{"thread", " type='chat'", `<thread>t</thread>`, false},
		{"state", " type='chat'", composes, false},
		{"state and id", " type='chat'", composes + `<origin-id xmlns='urn:xmpp:sid:0' id='1'/><thread>t</thread>`, false},
		{"body and state", " type='chat'", body + `<active xmlns='http://jabber.org/protocol/chatstates'/>`, true},
		{"state that is to be stored", " type='chat'", composes + store, true},
		{"no-store", " type='chat'", body + noStore, false},
		{"no-store and store", " type='chat'", body + noStore + store, false},
		{"no-permanent-store", " type='chat'", body + `<no-permanent-store xmlns='urn:xmpp:hints'/>`, true},
		{"no-copy", " type='chat'", body + `<no-copy xmlns='urn:xmpp:hints'/>`, true},
		{"only a hint", " type='chat'", `<no-copy xmlns='urn:xmpp:hints'/>`, false},
		{"receipt", "", `<received xmlns='urn:xmpp:receipts' id='1'/>`, true},
		{"receipt wanted", "", `<request xmlns='urn:xmpp:receipts'/>`, false},
		{"marker", "", `<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>`, true},
		{"markable", "", `<markable xmlns='urn:xmpp:chat-markers:0'/>`, false},
		{"encrypted", "", `<encrypted xmlns='eu.siacs.conversations.axolotl'/>`, true},
		{"retraction", "", `<retract xmlns='urn:xmpp:message-retract:1' id='1'/>`, true},
		{"reaction", "", `<reactions xmlns='urn:xmpp:reactions:0' id='1'/>`, true},
		{"call", "", `<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>`, true},
		{"hang up", "", `<retract xmlns='urn:xmpp:jingle-message:0' id='1'/>`, true},
		{"ringing", "", `<ringing xmlns='urn:xmpp:jingle-message:0' id='1'/>`, false},
		{"invitation", "", `<x xmlns='jabber:x:conference' jid='room@rooms.lit'/>`, true},
		{"invitation by the room", "", `<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>`, true},
		{"event", "", `<event xmlns='http://jabber.org/protocol/pubsub#event'/>`, false},
		{"unknown", "", `<x xmlns='urn:example'/>`, true},
		{"carbon", "", `<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>` + store, false},
		{"out of an archive", "", body + `<result xmlns='urn:xmpp:mam:2' id='1'/>`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var st stanza.Stanza
			if err := st.Parse([]byte(`<message`+tt.attrs+`>`+tt.children+`</message>`), stanza.Limits{}); err != nil {
				t.Fatal(err)
			}
			if got := Lasting(&st); got != tt.want {
				t.Errorf("%v", got)
			}
		})
	}
}
