package storage

import (
	"bytes"

	"github.com/xmppd/xmppd/stanza"
)

// HasID reports whether others refer to a stored message by this id: its id
// attribute or its origin-id (XEP-0359). Key alone does not tell. It may move bytes
// inside xml; see stanza.Stanza.Parse.
func HasID(xml []byte, id string) bool {
	var st stanza.Stanza
	return hasID(&st, xml, id)
}

func hasID(st *stanza.Stanza, xml []byte, id string) bool {
	if id == "" || st.Reparse(xml) != nil {
		return false
	}
	return string(st.ID()) == id || names(st, "urn:xmpp:sid:0", "origin-id", id)
}

// Repeats reports whether a message with this id is the same as a stored one: that has
// the id, and their texts are equal. An id alone does not tell: there are clients that
// begin to count anew with each connection. Nor does the whole of a message: what is sent
// once more may say that it is late (XEP-0203), and is encrypted anew. It may move bytes
// inside xml, not inside again.
func Repeats(xml, again []byte, id string) bool {
	var was, is stanza.Stanza
	return hasID(&was, xml, id) && is.Reparse(bytes.Clone(again)) == nil && text(&was) == text(&is)
}

// text is that of the first body; none is an empty one.
func text(st *stanza.Stanza) string {
	if body := st.Root().Child(stanza.NSClient, "body"); body.OK() {
		return body.Text()
	}
	return ""
}

// Corrects reports whether a stored message corrects the one with this id
// (XEP-0308). It may move bytes inside xml.
func Corrects(xml []byte, id string) bool {
	var st stanza.Stanza
	return id != "" && st.Reparse(xml) == nil && names(&st, "urn:xmpp:message-correct:0", "replace", id)
}

func names(st *stanza.Stanza, ns, name, id string) bool {
	for e := range st.Root().Children() {
		if v, _ := e.AttrBytes("id"); e.Is(ns, name) && string(v) == id {
			return true
		}
	}
	return false
}

// TombstoneXML is what is left of a stored message that has been retracted
// (XEP-0424 §4): its start tag, with element in the place of its content. It is nil
// for what is no stanza.
func TombstoneXML(xml, element []byte) []byte {
	var st stanza.Stanza
	if st.Reparse(xml) != nil {
		return nil
	}
	b := stanza.Build(string(st.Root().Name()))
	for name, value := range st.Root().Attrs() {
		b.Attr(name, string(value))
	}
	return b.Raw(element).Close().Bytes()
}
