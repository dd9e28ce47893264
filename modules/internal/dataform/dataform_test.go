package dataform_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xmppd/xmppd/modules/internal/dataform"
	"github.com/xmppd/xmppd/stanza"
)

func TestWriteResult(t *testing.T) {
	t.Parallel()
	b := stanza.NewBuilder(nil)
	dataform.Form{Type: "urn:example", Fields: []dataform.Field{
		{Var: "a", Values: []string{"1", "<2>"}},
		{Var: "none"},
	}}.WriteResult(b)
	want := `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:example</value></field>` +
		`<field var='a'><value>1</value><value>&lt;2&gt;</value></field><field var='none'/></x>`
	if diff := cmp.Diff(want, string(b.Bytes())); diff != "" {
		t.Error(diff)
	}
}

func TestSubmitted(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, xml string
		want      dataform.Form
		ok        bool
	}{
		{"none", `<query xmlns='q'/>`, dataform.Form{}, false},
		{"cancelled", `<query xmlns='q'><x xmlns='jabber:x:data' type='cancel'/></query>`, dataform.Form{}, false},
		{"empty", `<query xmlns='q'><x xmlns='jabber:x:data' type='submit'/></query>`, dataform.Form{}, true},
		{
			"fields",
			`<query xmlns='q'><x xmlns='jabber:x:data' type='submit'>` +
				`<field var='FORM_TYPE' type='hidden'><value>urn:example</value></field>` +
				`<field type='fixed'><value>a heading</value></field><title>t</title>` +
				`<field var='a'><value>1</value><value>&amp;2</value></field><field var='b'/></x></query>`,
			dataform.Form{Type: "urn:example", Fields: []dataform.Field{{Var: "a", Values: []string{"1", "&2"}}, {Var: "b"}}},
			true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var st stanza.Stanza
			if err := st.Parse([]byte(tt.xml), stanza.Limits{}); err != nil {
				t.Fatal(err)
			}
			got, ok := dataform.Submitted(st.Root())
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
				t.Errorf("Submitted: %v, %s", ok, diff)
			}
		})
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	f := dataform.Form{Fields: []dataform.Field{{Var: "a", Values: []string{"1", "2"}}, {Var: "b"}}}
	if got := f.Value("a") + f.Value("b") + f.Value("c"); got != "1" {
		t.Errorf("Value: %q", got)
	}
}
