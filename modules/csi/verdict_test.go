package csi

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

const (
	from      = ` from='juliet@capulet.lit/balcony'`
	body      = `<body>hi</body>`
	composing = `<composing xmlns='http://jabber.org/protocol/chatstates'/>`
	receipt   = `<received xmlns='urn:xmpp:receipts' id='1'/>`
	displayed = `<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>`
	thread    = `<thread>t</thread>`
	mucUser   = `<x xmlns='http://jabber.org/protocol/muc#user'/>`
	asides    = thread + `<no-store xmlns='urn:xmpp:hints'/><origin-id xmlns='urn:xmpp:sid:0' id='1'/>` +
		`<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='a'/><delay xmlns='urn:xmpp:delay' stamp='s'/><occupant-id xmlns='urn:xmpp:occupant-id:0' id='1'/>`
)

func room(children string) string {
	return `<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/>` + children + `</x>`
}

func event(items string) string {
	return `<event xmlns='http://jabber.org/protocol/pubsub#event'>` + items + `</event>`
}

func carbon(direction, attrs, children string) string {
	return `<message from='romeo@capulet.lit' to='romeo@capulet.lit/phone' type='chat'><` + direction + ` xmlns='urn:xmpp:carbons:2'>` +
		`<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='a@a/a' to='b@b/b'` + attrs + `>` + children + `</message>` +
		`</forwarded></` + direction + `></message>`
}

// want is "now", "in order" or the key with which something is held.
func TestVerdict(t *testing.T) {
	t.Parallel()
	const (
		now     = "now"
		inOrder = "in order"

		presence = "presence|juliet@capulet.lit/balcony"
		state    = "state||juliet@capulet.lit/balcony"
		copied   = "copied state|a@a/a|b@b/b"
	)
	for _, tt := range []struct{ name, xml, want string }{
		{"available", `<presence` + from + `/>`, presence},
		{"away", `<presence` + from + `><show>away</show><status>out</status></presence>`, presence},
		{"unavailable", `<presence` + from + ` type='unavailable'/>`, presence},
		{"subscribe", `<presence` + from + ` type='subscribe'/>`, now},
		{"subscribed", `<presence` + from + ` type='subscribed'/>`, now},
		{"unsubscribe", `<presence` + from + ` type='unsubscribe'/>`, now},
		{"unsubscribed", `<presence` + from + ` type='unsubscribed'/>`, now},
		{"probe", `<presence` + from + ` type='probe'/>`, now},
		{"error", `<presence` + from + ` type='error'/>`, now},
		{"room refuses", `<presence` + from + ` type='error'><x xmlns='http://jabber.org/protocol/muc'/></presence>`, now},
		{"occupant", `<presence` + from + `>` + room("") + `</presence>`, presence},
		{"occupant leaves", `<presence` + from + ` type='unavailable'>` + room(`<status code='307'/>`) + `</presence>`, presence},
		{"in the room", `<presence` + from + `>` + room(`<status code='100'/><status code='110'/>`) + `</presence>`, now},
		{"thrown out", `<presence` + from + ` type='unavailable'>` + room(`<status code='110'/><status code='307'/>`) + `</presence>`, now},
		{"room destroyed", `<presence` + from + ` type='unavailable'>` + room(`<destroy/>`) + `</presence>`, now},
		{"110 elsewhere", `<presence` + from + `>` + room("") + `<status code='110'/></presence>`, presence},

		{"chat", `<message` + from + ` type='chat'>` + body + `</message>`, now},
		{"groupchat", `<message` + from + ` type='groupchat'>` + body + `</message>`, now},
		{"headline", `<message` + from + ` type='headline'>` + body + `</message>`, now},
		{"nothing", `<message` + from + `/>`, now},
		{"unknown", `<message` + from + `><x xmlns='urn:example'/></message>`, now},
		{"encrypted", `<message` + from + `><encrypted xmlns='eu.siacs.conversations.axolotl'/>` + composing + `</message>`, now},
		{"call", `<message` + from + ` type='chat'><propose xmlns='urn:xmpp:jingle-message:0' id='1'/></message>`, now},
		{"answered", `<message` + from + ` type='chat'><proceed xmlns='urn:xmpp:jingle-message:0' id='1'/></message>`, now},
		{"hung up", `<message` + from + ` type='chat'><retract xmlns='urn:xmpp:jingle-message:0' id='1'/></message>`, now},
		{"reaction", `<message` + from + `><reactions xmlns='urn:xmpp:reactions:0' id='1'/></message>`, now},
		{"bounce", `<message` + from + ` type='error'>` + composing + `<error type='cancel'/></message>`, now},
		{"bounced event", `<message` + from + ` type='error'>` + event(`<items node='n'><item id='1'/></items>`) + `</message>`, now},
		{"receipt", `<message` + from + `>` + receipt + `</message>`, now},
		{"marker", `<message` + from + `>` + displayed + `</message>`, now},

		{"state", `<message` + from + `>` + composing + `</message>`, state},
		{"state of a chat", `<message` + from + ` type='chat'>` + composing + asides + `</message>`, "state|chat|juliet@capulet.lit/balcony"},
		{"state in a room", `<message` + from + ` type='groupchat'>` + composing + asides + `</message>`, "state|groupchat|juliet@capulet.lit/balcony"},
		{"state of an occupant", `<message` + from + `>` + composing + mucUser + `</message>`, state},
		{"state and invitation", `<message` + from + `>` + composing + room(`<invite/>`) + `</message>`, now},
		{"state and body", `<message` + from + `>` + composing + body + `</message>`, now},
		{"state and subject", `<message` + from + `>` + composing + `<subject>s</subject></message>`, now},
		{"state and receipt", `<message` + from + `>` + composing + receipt + `</message>`, now},
		{"state and unknown", `<message` + from + `>` + composing + `<x xmlns='urn:example'/></message>`, now},

		{"item", `<message` + from + ` type='headline'>` + event(`<items node='n'><item id='1'><x xmlns='urn:example'/></item></items>`) + asides + `</message>`, "event|juliet@capulet.lit/balcony|n|1"},
		{"another item", `<message` + from + `>` + event(`<items node='n'><item id='2'/></items>`) + `</message>`, "event|juliet@capulet.lit/balcony|n|2"},
		{"retracted", `<message` + from + `>` + event(`<items node='n'><retract id='1'/></items>`) + `</message>`, "event|juliet@capulet.lit/balcony|n|1"},
		{"one at a time", `<message` + from + `>` + event(`<items node='http://jabber.org/protocol/tune'><item id='bffe6584'/></items>`) + `</message>`, "event|juliet@capulet.lit/balcony|http://jabber.org/protocol/tune|"},
		{"avatar", `<message` + from + `>` + event(`<items node='urn:xmpp:avatar:metadata'><item id='111f4b3c'/></items>`) + `</message>`, "event|juliet@capulet.lit/balcony|urn:xmpp:avatar:metadata|"},
		{"several items", `<message` + from + `>` + event(`<items node='n'><item id='1'/><item id='2'/></items>`) + `</message>`, now},
		{"no item", `<message` + from + `>` + event(`<items node='n'/>`) + `</message>`, now},
		{"purged", `<message` + from + `>` + event(`<purge node='n'/>`) + `</message>`, now},
		{"deleted", `<message` + from + `>` + event(`<delete node='n'/>`) + `</message>`, now},
		{"event and body", `<message` + from + `>` + event(`<items node='n'><item id='1'/></items>`) + body + `</message>`, now},

		{"copied chat", carbon("received", ` type='chat'`, body), now},
		{"copied answer to a call", carbon("sent", ` type='chat'`, `<proceed xmlns='urn:xmpp:jingle-message:0' id='1'/>`), now},
		{"copied marker", carbon("received", ` type='chat'`, displayed+asides), inOrder},
		{"own marker", carbon("sent", ``, displayed), inOrder},
		{"copied receipt", carbon("received", ` type='chat'`, receipt), inOrder},
		{"copied receipt and marker", carbon("received", ` type='chat'`, receipt+displayed), inOrder},
		{"copied marker and state", carbon("sent", ` type='chat'`, displayed+composing), inOrder},
		{"copied state", carbon("received", ` type='chat'`, composing), copied},
		{"own state", carbon("sent", ` type='chat'`, composing), copied},
		{"copied body with receipt", carbon("received", ` type='chat'`, body+receipt), now},
		{"copied error", carbon("received", ` type='error'`, receipt), now},
		{"copied nothing", carbon("received", ` type='chat'`, ``), now},
		{"copy of no message", `<message` + from + `><sent xmlns='urn:xmpp:carbons:2'/></message>`, now},

		{"IQ get", `<iq` + from + ` type='get' id='1'><x xmlns='urn:example'/></iq>`, now},
		{"roster push", `<iq type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>`, now},
		{"IQ result", `<iq type='result' id='1'/>`, now},
		{"IQ error", `<iq type='error' id='1'/>`, now},
		{"no stanza", `<r xmlns='urn:xmpp:sm:3'/>`, now},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var st stanza.Stanza
			if err := st.Parse([]byte(tt.xml), stanza.Limits{}); err != nil {
				t.Fatal(err)
			}
			v := verdict(&st)
			got := now
			if v.Hold {
				if got = strings.ReplaceAll(v.Key, "\x00", "|"); got == "" {
					got = inOrder
				}
			}
			if !v.Hold && v.Key != "" || got != tt.want {
				t.Errorf("%+v, want %q", v, tt.want)
			}
		})
	}
}

// What is not held costs nothing to look at.
func TestNoAllocations(t *testing.T) {
	var st stanza.Stanza
	if err := st.Parse([]byte(`<message`+from+` type='chat'>`+body+`<active xmlns='http://jabber.org/protocol/chatstates'/></message>`), stanza.Limits{}); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if verdict(&st).Hold {
			t.Error("held")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
