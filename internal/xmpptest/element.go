package xmpptest

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Namespaces that tests name often.
const (
	nsClient  = "jabber:client"
	nsStream  = "http://etherx.jabber.org/streams"
	nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsXML     = "http://www.w3.org/XML/1998/namespace"
	nsFraming = "urn:ietf:params:xml:ns:xmpp-framing"
)

// Element is an XML element as a client understands it, by its own parser
// (encoding/xml) and not by the server's: namespaces are resolved, declarations
// and prefixes are gone, attributes are sorted.
type Element struct {
	Space, Name string
	Attrs       []xml.Attr
	Nodes       []Node
	Raw         string // as it stood on the wire; only of what a Client received
}

// Node is text or an element inside another.
type Node struct {
	Text string
	Elem *Element
}

// Attr is the value of an attribute without a namespace, or of "xml:lang".
func (e *Element) Attr(name string) string {
	space := ""
	if local, ok := strings.CutPrefix(name, "xml:"); ok {
		space, name = nsXML, local
	}
	for _, a := range e.Attrs {
		if a.Name.Space == space && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// Child is the first child of that namespace and name, or nil.
func (e *Element) Child(space, name string) *Element {
	for _, n := range e.Nodes {
		if n.Elem != nil && n.Elem.Space == space && n.Elem.Name == name {
			return n.Elem
		}
	}
	return nil
}

// Children are the elements inside.
func (e *Element) Children() []*Element {
	var out []*Element
	for _, n := range e.Nodes {
		if n.Elem != nil {
			out = append(out, n.Elem)
		}
	}
	return out
}

// Text is all text inside, without that of children.
func (e *Element) Text() string {
	var b strings.Builder
	for _, n := range e.Nodes {
		b.WriteString(n.Text)
	}
	return b.String()
}

// readElement reads what follows a start tag, up to its end tag.
func readElement(d *xml.Decoder, start xml.StartElement) (*Element, error) {
	e := &Element{Space: start.Name.Space, Name: start.Name.Local}
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
			e.Attrs = append(e.Attrs, a)
		}
	}
	slices.SortFunc(e.Attrs, func(a, b xml.Attr) int {
		return cmp.Or(strings.Compare(a.Name.Space, b.Name.Space), strings.Compare(a.Name.Local, b.Name.Local))
	})
	for {
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			child, err := readElement(d, tok)
			if err != nil {
				return nil, err
			}
			e.Nodes = append(e.Nodes, Node{Elem: child})
		case xml.CharData:
			if n := len(e.Nodes); n > 0 && e.Nodes[n-1].Elem == nil {
				e.Nodes[n-1].Text += string(tok)
			} else {
				e.Nodes = append(e.Nodes, Node{Text: string(tok)})
			}
		case xml.EndElement:
			e.trim()
			return e, nil
		default:
			return nil, fmt.Errorf("%T inside <%s/>", tok, e.Name)
		}
	}
}

// trim drops white space between elements; beside text it stays.
func (e *Element) trim() {
	if len(e.Children()) > 0 && strings.TrimSpace(e.Text()) == "" {
		e.Nodes = slices.DeleteFunc(e.Nodes, func(n Node) bool { return n.Elem == nil })
	}
}

// Parse reads elements as they would stand in a stream: without a declaration
// they are in jabber:client, and the prefix stream is bound.
func Parse(text string) ([]*Element, error) {
	const open = "<stream:stream xmlns='" + nsClient + "' xmlns:stream='" + nsStream + "'>"
	d := xml.NewDecoder(strings.NewReader(open + text))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	var out []*Element
	for {
		at := int(d.InputOffset())
		tok, err := d.Token()
		if err != nil {
			if s, ok := errors.AsType[*xml.SyntaxError](err); err == io.EOF || ok && s.Msg == "unexpected EOF" && strings.TrimSpace(text[min(at-len(open), len(text)):]) == "" {
				return out, nil
			}
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e, err := readElement(d, tok)
			if err != nil {
				return nil, err
			}
			e.Raw = text[at-len(open) : int(d.InputOffset())-len(open)]
			out = append(out, e)
		case xml.CharData:
			if strings.TrimSpace(string(tok)) != "" {
				return nil, fmt.Errorf("text between elements: %q", tok)
			}
		default:
			return nil, fmt.Errorf("%T between elements", tok)
		}
	}
}

// Map applies a function to all text and attribute values.
func (e *Element) Map(fn func(string) string) {
	for i := range e.Attrs {
		e.Attrs[i].Value = fn(e.Attrs[i].Value)
	}
	for i := range e.Nodes {
		if e.Nodes[i].Elem != nil {
			e.Nodes[i].Elem.Map(fn)
		} else {
			e.Nodes[i].Text = fn(e.Nodes[i].Text)
		}
	}
}

// String prints the element in one form that is independent of how it was
// written: one element a line, namespaces where they change.
func (e *Element) String() string {
	var b strings.Builder
	e.print(&b, "", nsClient)
	return b.String()
}

func (e *Element) print(b *strings.Builder, indent, space string) {
	b.WriteString(indent + "<" + e.Name)
	if e.Space != space {
		b.WriteString(" xmlns='" + e.Space + "'")
	}
	for _, a := range e.Attrs {
		name := a.Name.Local
		switch a.Name.Space {
		case "":
		case nsXML:
			name = "xml:" + name
		default:
			name = "{" + a.Name.Space + "}" + name
		}
		b.WriteString(" " + name + "='" + escapeAttr.Replace(a.Value) + "'")
	}
	switch {
	case len(e.Nodes) == 0:
		b.WriteString("/>\n")
		return
	case len(e.Children()) == 0:
		b.WriteString(">" + escapeText.Replace(e.Text()) + "</" + e.Name + ">\n")
		return
	}
	b.WriteString(">\n")
	for _, n := range e.Nodes {
		if n.Elem != nil {
			n.Elem.print(b, indent+"  ", e.Space)
		} else {
			b.WriteString(indent + "  " + escapeText.Replace(n.Text) + "\n")
		}
	}
	b.WriteString(indent + "</" + e.Name + ">\n")
}

var (
	escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	escapeAttr = strings.NewReplacer("&", "&amp;", "<", "&lt;", "'", "&apos;")
)

// Vars are the values of the {names} in what a scenario expects.
type Vars map[string]string

var variable = regexp.MustCompile(`^\{([a-z][a-z0-9]*)\}$`)

// Expand puts the values into text that is to be sent.
func (v Vars) Expand(s string) string {
	for name, value := range v {
		s = strings.ReplaceAll(s, "{"+name+"}", escapeAttr.Replace(value))
	}
	return s
}

const nsStanzaID = "urn:xmpp:sid:0"

// Match compares an element with what is expected. An attribute or the text of
// an element may be {any}, which fits everything, or another {name}, which fits
// everything the first time and the same from then on. What a server may leave
// out counts only if it is expected: a stanza-id, an xml:lang of the outermost
// element, and in a stanza of type error the payload that it answers and the text
// for people.
// Vars change only if the elements match.
func Match(want, got *Element, vars Vars) bool {
	v := maps.Clone(vars)
	if v == nil {
		v = make(Vars)
	}
	c := *got
	if want.Attr("xml:lang") == "" {
		c.Attrs = slices.DeleteFunc(slices.Clone(got.Attrs), func(a xml.Attr) bool { return a.Name.Space == nsXML && a.Name.Local == "lang" })
	}
	if problem := want.Child(nsClient, "error"); problem != nil && got.Child(nsClient, "error") != nil {
		if len(want.Nodes) == 1 {
			c.Nodes = []Node{{Elem: got.Child(nsClient, "error")}}
		}
		if problem.Child(nsStanzas, "text") == nil {
			c.Nodes = slices.Clone(c.Nodes)
			for i, n := range c.Nodes {
				if n.Elem != nil && n.Elem.Space == nsClient && n.Elem.Name == "error" {
					e := *n.Elem
					e.Nodes = slices.DeleteFunc(slices.Clone(e.Nodes), func(n Node) bool {
						return n.Elem != nil && n.Elem.Space == nsStanzas && n.Elem.Name == "text"
					})
					c.Nodes[i].Elem = &e
				}
			}
		}
	}
	if !v.element(want, &c) {
		return false
	}
	maps.Copy(vars, v)
	return true
}

func (v Vars) element(want, got *Element) bool {
	if want.Space != got.Space || want.Name != got.Name || len(want.Attrs) != len(got.Attrs) {
		return false
	}
	if want.Child(nsStanzaID, "stanza-id") == nil && got.Child(nsStanzaID, "stanza-id") != nil {
		c := *got
		c.Nodes = slices.DeleteFunc(slices.Clone(got.Nodes), func(n Node) bool {
			return n.Elem != nil && n.Elem.Space == nsStanzaID && n.Elem.Name == "stanza-id"
		})
		got = &c
	}
	for i, a := range want.Attrs {
		if a.Name != got.Attrs[i].Name || !v.text(a.Value, got.Attrs[i].Value) {
			return false
		}
	}
	if len(want.Nodes) == 1 && want.Nodes[0].Elem == nil && len(got.Children()) == 0 {
		return v.text(want.Nodes[0].Text, got.Text())
	}
	if len(want.Nodes) != len(got.Nodes) {
		return false
	}
	for i, w := range want.Nodes {
		g := got.Nodes[i]
		if (w.Elem == nil) != (g.Elem == nil) || w.Elem == nil && w.Text != g.Text || w.Elem != nil && !v.element(w.Elem, g.Elem) {
			return false
		}
	}
	return true
}

func (v Vars) text(want, got string) bool {
	m := variable.FindStringSubmatch(want)
	if m == nil {
		return want == got
	}
	if m[1] == "any" {
		return true
	}
	if old, ok := v[m[1]]; ok {
		return old == got
	}
	v[m[1]] = got
	return true
}
