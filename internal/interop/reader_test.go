package interop

import "fmt"

const (
	nsArchive = "urn:xmpp:mam:2"
	nsSet     = "http://jabber.org/protocol/rsm"
	pageSize  = 20
)

// page asks for the rows of the own archive behind one of them.
func page(id, after string) string {
	if after != "" {
		after = "<after>" + after + "</after>"
	}
	return fmt.Sprintf("<iq type='set' id='%s'><query xmlns='%s'><set xmlns='%s'><max>%d</max>%s</set></query></iq>", id, nsArchive, nsSet, pageSize, after)
}

// hello is the first stanza of a session.
func (p *phone) hello() string {
	if p.greeted = !p.asks; p.asks {
		return page("page", p.latest)
	}
	return "<presence/>"
}

// note keeps the latest stanza-id, answers pings of the server, and pages on until
// it has all of the archive. What comes between the last page and the presence is on
// another page.
func (p *phone) note(e *element) {
	m := kept(e)
	if m.id != "" {
		p.latest = m.id
	}
	fin := e.child("fin")
	switch {
	case e.XMLName.Local != "iq":
	case fin != nil && fin.attr("complete") != "true":
		p.ask(page("page", fin.child("set").child("last").Text))
	case fin != nil && !p.greeted:
		p.greeted = true
		p.send(outgo{xml: "<presence/>"})
		p.ask(page("page", p.latest))
	case e.attr("type") == "get" && e.child("ping") != nil:
		p.send(outgo{xml: fmt.Sprintf("<iq type='result' id='%s' to='%s'/>", e.attr("id"), e.attr("from"))})
	}
}

// ask sends a request, and has it acknowledged.
func (p *phone) ask(xml string) {
	p.send(outgo{xml: xml})
	if !p.plain {
		p.write("<r xmlns='" + nsSM + "'/>")
	}
}

// row is a message and its place in an archive.
type row struct {
	id   string // stanza-id; "": it has none
	page bool   // it was asked for
	*element
}

// kept returns the message that came, live or out of the archive; the element is
// nil if it is none.
func kept(e *element) row {
	if e.XMLName.Local != "message" {
		return row{}
	}
	if r := e.child("result"); r != nil && r.XMLName.Space == nsArchive {
		return row{r.attr("id"), true, r.child("forwarded").child("message")}
	}
	if s := e.child("stanza-id"); s != nil {
		return row{s.attr("id"), false, e}
	}
	return row{"", false, e}
}
