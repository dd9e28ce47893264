package node_test

import (
	"encoding/xml"
	"slices"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
)

// note is a message of the model: what it says, apart from how that is written.
type note struct {
	n        int     // in the order of sending; its thread, which nothing depends on
	from, to jid.JID // to as it is meant: the own bare address if none is given
	silentTo bool    // it is not given
	kind     string  // the type attribute
	id       string
	origin   string
	parts    []string // of elements
	text     string
	about    string // id of the message that a part names
	xml      string // as it is sent
	canon    string // as it arrives; see canonical
}

const (
	nsArchive   = "urn:xmpp:mam:2"
	nsCopies    = "urn:xmpp:carbons:2"
	nsDelayed   = "urn:xmpp:delay"
	nsForwarded = "urn:xmpp:forward:0"
	nsInbox     = "urn:xmpp:inbox:1"
	nsMessage   = "jabber:client"
	nsRetract   = "urn:xmpp:message-retract:1"
	nsSID       = "urn:xmpp:sid:0"
)

// elements are what messages consist of.
var elements = map[string]string{
	"body":               "<body>{text}</body>",
	"payload":            "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>c2VjcmV0</payload></encrypted>",
	"keys":               "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>",
	"replace":            "<replace xmlns='urn:xmpp:message-correct:0' id='{about}'/>",
	"retract":            "<retract xmlns='" + nsRetract + "' id='{about}'/>",
	"reactions":          "<reactions xmlns='urn:xmpp:reactions:0' id='{about}'><reaction>&#128075;</reaction></reactions>",
	"receipt":            "<received xmlns='urn:xmpp:receipts' id='{about}'/>",
	"request":            "<request xmlns='urn:xmpp:receipts'/>",
	"displayed":          "<displayed xmlns='urn:xmpp:chat-markers:0' id='{about}'/>",
	"acknowledged":       "<acknowledged xmlns='urn:xmpp:chat-markers:0' id='{about}'/>",
	"received":           "<received xmlns='urn:xmpp:chat-markers:0' id='{about}'/>",
	"markable":           "<markable xmlns='urn:xmpp:chat-markers:0'/>",
	"active":             "<active xmlns='http://jabber.org/protocol/chatstates'/>",
	"invite":             "<x xmlns='jabber:x:conference' jid='coven@chat.shakespeare.lit'/>",
	"propose":            "<propose xmlns='urn:xmpp:jingle-message:0' id='call'/>",
	"ringing":            "<ringing xmlns='urn:xmpp:jingle-message:0' id='call'/>",
	"foreign":            "<x xmlns='urn:example:unheard-of'/>",
	"store":              "<store xmlns='urn:xmpp:hints'/>",
	"no-store":           "<no-store xmlns='urn:xmpp:hints'/>",
	"no-permanent-store": "<no-permanent-store xmlns='urn:xmpp:hints'/>",
	"private":            "<private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>",
}

// write makes the XML.
func (m *note) write() {
	attrs := ""
	for _, a := range [][2]string{{"to", m.to.String()}, {"type", m.kind}, {"id", m.id}} {
		if a[1] != "" && (a[0] != "to" || !m.silentTo) {
			attrs += " " + a[0] + "='" + a[1] + "'"
		}
	}
	inside := "<thread>" + strconv.Itoa(m.n) + "</thread>"
	if m.origin != "" {
		inside += "<origin-id xmlns='" + nsSID + "' id='" + m.origin + "'/>"
	}
	for _, p := range m.parts {
		inside += strings.NewReplacer("{about}", m.about, "{text}", m.text).Replace(elements[p])
	}
	m.xml = "<message" + attrs + ">" + inside + "</message>"
	e, err := xmpptest.Parse("<message from='" + m.from.String() + "'" + attrs + ">" + inside + "</message>")
	if err != nil {
		panic(err)
	}
	m.canon, _ = canonical(e[0], m.to)
}

// canonical prints a message without what the server adds to it, which is returned:
// ids, by address, and when it arrived (XEP-0203). to is for one without an address.
func canonical(e *xmpptest.Element, to jid.JID) (text string, added map[string]string) {
	for _, name := range []string{"from", "id", "to", "type"} {
		v := e.Attr(name)
		if name == "to" && v == "" {
			v = to.String()
		}
		text += name + "=" + v + " "
	}
	c := xmpptest.Element{Space: e.Space, Name: e.Name}
	added = make(map[string]string)
	for _, n := range e.Nodes {
		switch {
		case n.Elem != nil && n.Elem.Space == nsSID && n.Elem.Name == "stanza-id":
			added[n.Elem.Attr("by")] = n.Elem.Attr("id")
		case n.Elem == nil || n.Elem.Space != nsDelayed || n.Elem.Attr("from") != xmpptest.Domain:
			c.Nodes = append(c.Nodes, n)
		}
	}
	return text + "\n" + c.String(), added
}

// tombstone is what stands in the archive when the message has been retracted.
func (m *note) tombstone(by string) string {
	root, _, _ := strings.Cut(m.canon, "\n")
	return root + "\n" + (&xmpptest.Element{Space: nsMessage, Name: "message", Nodes: []xmpptest.Node{{
		Elem: &xmpptest.Element{Space: nsRetract, Name: "retracted", Attrs: []xml.Attr{{Name: xml.Name{Local: "id"}, Value: by}}},
	}}}).String()
}

// What follows is the truth about single messages, as the specifications have it.

// has reports whether one of the parts is there.
func (m *note) has(parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return slices.Contains(m.parts, p) })
}

// lasting: a person would miss it (XEP-0160 §3, XEP-0313 §5.1.1, XEP-0334 §4.2).
func (m *note) lasting() bool {
	return !m.has("no-store") && m.has("body", "payload", "keys", "replace", "retract", "reactions", "receipt",
		"displayed", "acknowledged", "received", "invite", "propose", "foreign", "store")
}

// keepable: the archive may hold it. What retracts another message belongs there
// whatever a hint says (XEP-0424, Business Rules).
func (m *note) keepable() bool {
	return m.lasting() && !m.has("no-permanent-store") || m.has("retract")
}

// shown: it is an instant message, which a person reads (XEP-0430).
func (m *note) shown() bool {
	return m.has("body", "payload") && !m.has("reactions", "retract")
}

// searchable: its text is in the index (XEP-0431).
func (m *note) searchable() bool {
	return m.has("body") && !m.has("payload", "keys", "retract")
}

// copied: carbons of it are made (XEP-0280 §6.1).
func (m *note) copied() bool {
	return !m.has("private") && (m.kind == "chat" || m.has("body", "receipt", "request", "displayed", "acknowledged", "received", "markable", "active", "invite", "propose",
		"ringing"))
}

// name is the id by which others refer to it (XEP-0359).
func (m *note) name() string {
	if m.id == "" {
		return m.origin
	}
	return m.id
}

// body is its text.
func (m *note) body() string {
	if m.has("body") {
		return m.text
	}
	return ""
}

// promised: its id is unique, by the word of its sender.
func (m *note) promised() bool { return m.origin != "" && m.origin == m.name() }
