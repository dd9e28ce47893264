package archived

import (
	"slices"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules/internal/dataform"
	"github.com/xmppd/xmppd/modules/internal/resultset"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// selection is a query as it was asked.
type selection struct {
	// set is what the form selects; the page is a part of it.
	set     storage.ArchiveQuery
	page    resultset.Page
	flip    bool   // the newest is to be sent first
	queryID string // "": none
	none    bool   // nothing can match

	ids                       []position // asked for by themselves; nil: not
	afterID, beforeID         position   // of the form
	pageAfterID, pageBeforeID position   // of the page
}

// position is an id as it was given; the zero value is none.
type position struct{ seq, tag int64 }

// parse reads <query/>. What ids mean is for locate to find out.
func (a *Reader) parse(query stanza.Elem, owner jid.JID) (s selection, err error) {
	s.set.Owner = owner
	s.queryID, _ = query.Attr("queryid")
	if node, _ := query.AttrBytes("node"); len(node) > 0 {
		return s, stanza.ItemNotFound("this archive has no nodes") // XEP-0313 §6.1.3
	}
	s.flip = query.Child(NS, "flip-page").OK()
	if s.page, err = resultset.Parse(query); err != nil {
		return s, err
	}
	if err = setID(&s.pageAfterID, s.page.After); err != nil {
		return s, err
	}
	if err = setID(&s.pageBeforeID, s.page.Before); err != nil {
		return s, err
	}
	if !query.Child(dataform.NS, "x").OK() {
		return s, nil
	}
	form, ok := dataform.Submitted(query)
	if !ok || form.Type != NS {
		return s, stanza.BadRequest("not a form of type " + NS)
	}
	for _, f := range form.Fields {
		if err := a.field(&s, f); err != nil {
			return s, err
		}
	}
	return s, nil
}

func unknownID() error { return stanza.ItemNotFound("the archive has no such id") }

// field takes one field of the form. A blank one counts as left out.
func (a *Reader) field(s *selection, f dataform.Field) error {
	if f.Var == "ids" {
		return s.setIDs(f.Values)
	}
	if len(f.Values) > 1 {
		return stanza.BadRequest(f.Var + " has one value")
	}
	value := ""
	if len(f.Values) == 1 {
		value = f.Values[0]
	}
	switch f.Var {
	case "with":
		return s.setWith(value)
	case "start", "end":
		return s.setTime(f.Var, value)
	case "after-id":
		return setID(&s.afterID, value)
	case "before-id":
		return setID(&s.beforeID, value)
	case "include-groupchat":
		if !slices.Contains([]string{"", "0", "1", "false", "true"}, value) {
			return stanza.BadRequest("include-groupchat is true or false")
		}
		return nil
	case FullText:
		if a.Search != nil {
			s.setText(a.Search, value)
			return nil
		}
	}
	return stanza.FeatureNotImplemented("unknown field " + f.Var) // XEP-0313 §4.1.5
}

func (s *selection) setWith(value string) error {
	if value == "" {
		return nil
	}
	j, err := jid.Parse(value)
	if err != nil {
		return stanza.BadRequest("with is no address")
	}
	if s.set.With = j; j.Bare() == s.set.Owner {
		s.set.With = s.set.Owner // XEP-0313 §4.1.1: whatever the resource
	}
	return nil
}

// setTime takes a bound of the time. Clients know the milliseconds in which
// messages arrived, so bounds are whole ones, too: what a client was told is the
// end of something includes that.
func (s *selection) setTime(field, value string) error {
	if value == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339, value) // XEP-0082 §3.2; takes fractions
	if err != nil {
		return stanza.BadRequest(field + " is no date with time")
	}
	whole := t.UTC().Truncate(time.Millisecond)
	switch {
	case field == "end":
		s.set.End = whole.Add(time.Millisecond - time.Microsecond)
	case whole.Before(t):
		s.set.Start = whole.Add(time.Millisecond)
	default:
		s.set.Start = whole
	}
	return nil
}

func setID(p *position, value string) error {
	if value == "" {
		return nil
	}
	var ok bool
	if p.seq, p.tag, ok = storage.ParseStanzaID(value); !ok {
		return unknownID()
	}
	return nil
}

func (s *selection) setIDs(values []string) error {
	if len(s.ids)+len(values) > maxIDs {
		return stanza.PolicyViolation("too many ids")
	}
	for _, v := range values {
		seq, tag, ok := storage.ParseStanzaID(v)
		if !ok {
			return unknownID()
		}
		s.ids = append(s.ids, position{seq, tag})
	}
	return nil
}

func (s *selection) setText(search Search, value string) {
	if value == "" {
		return
	}
	s.set.Words, s.set.Match = search.Query(value)
	s.none = len(s.set.Words) == 0
}

// Form writes the fields that a query may have (XEP-0313 §4.1.5).
func (a *Reader) Form(b *stanza.Builder) {
	b.Open("query", NS).Open("x", dataform.NS).Attr("type", "form")
	b.Open("field", "").Attr("type", "hidden").Attr("var", "FORM_TYPE").Text("value", NS).Close()
	for _, f := range [][2]string{
		{"jid-single", "with"}, {"text-single", "start"}, {"text-single", "end"},
		{"text-single", "before-id"}, {"text-single", "after-id"},
	} {
		writeField(b, f[0], f[1]).Close()
	}
	writeField(b, "list-multi", "ids")
	b.Open("validate", "http://jabber.org/protocol/xdata-validate").Attr("datatype", "xs:string")
	b.Empty("open", "").Close().Close()
	writeField(b, "boolean", "include-groupchat").Close()
	if a.Search != nil {
		writeField(b, "text-single", FullText).Close()
	}
	b.Close().Close()
}

func writeField(b *stanza.Builder, kind, name string) *stanza.Builder {
	return b.Open("field", "").Attr("type", kind).Attr("var", name)
}
