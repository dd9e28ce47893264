// Package dataform writes and reads data forms (XEP-0004) whose fields have a
// meaning by their FORM_TYPE (XEP-0068).
package dataform

import "github.com/xmppd/xmppd/stanza"

// NS is the namespace of data forms.
const NS = "jabber:x:data"

// Form is a set of fields under the name that defines them.
type Form struct {
	Type   string // the FORM_TYPE; it is not among Fields
	Fields []Field
}

// Field is a variable with its values in order.
type Field struct {
	Var    string
	Values []string
}

// Values are those of the first field of that name; nil if there is none.
func (f Form) Values(name string) []string {
	for _, field := range f.Fields {
		if field.Var == name {
			return field.Values
		}
	}
	return nil
}

// Value is the first value of the field; empty if it has none.
func (f Form) Value(name string) string {
	if v := f.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// WriteResult writes the form with type 'result'.
func (f Form) WriteResult(b *stanza.Builder) {
	b.Open("x", NS).Attr("type", "result")
	b.Open("field", "").Attr("var", "FORM_TYPE").Attr("type", "hidden").Text("value", f.Type).Close()
	for _, field := range f.Fields {
		b.Open("field", "").Attr("var", field.Var)
		for _, v := range field.Values {
			b.Text("value", v)
		}
		b.Close()
	}
	b.Close()
}

// Submitted reads the form that was submitted inside parent. It reports false
// if there is none or it was cancelled. Fields without a name have no meaning
// in a submission and are left out.
func Submitted(parent stanza.Elem) (f Form, ok bool) {
	x := parent.Child(NS, "x")
	if t, _ := x.Attr("type"); t != "submit" {
		return Form{}, false
	}
	for e := range x.Children() {
		name, named := e.Attr("var")
		if !e.Is(NS, "field") || !named {
			continue
		}
		field := Field{Var: name}
		for v := range e.Children() {
			if v.Is(NS, "value") {
				field.Values = append(field.Values, v.Text())
			}
		}
		if name == "FORM_TYPE" {
			if len(field.Values) > 0 {
				f.Type = field.Values[0]
			}
			continue
		}
		f.Fields = append(f.Fields, field)
	}
	return f, true
}
