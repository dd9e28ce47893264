package contact_test

import (
	"testing"

	"github.com/xmppd/xmppd/modules/contact"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/stanza"
)

func TestForm(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	m := contact.New()
	w.InitWith(m, map[string]any{
		"status": []any{"https://status.shakespeare.lit"},
		"abuse":  []any{"mailto:abuse@shakespeare.lit", "xmpp:abuse@shakespeare.lit"},
	})
	form, ok := m.Form()
	if !ok {
		t.Fatal("no form")
	}
	b := stanza.NewBuilder(nil)
	form.WriteResult(b)
	want := `<x xmlns='jabber:x:data' type='result'>` +
		`<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>` +
		`<field var='abuse-addresses'><value>mailto:abuse@shakespeare.lit</value><value>xmpp:abuse@shakespeare.lit</value></field>` +
		`<field var='status-addresses'><value>https://status.shakespeare.lit</value></field></x>`
	if got := string(b.Bytes()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNoForm(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	m := contact.New()
	w.Init(m)
	if _, ok := m.Form(); ok {
		t.Error("a form without addresses")
	}
}

func TestBadURI(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	m := contact.New()
	err := m.Init(w.Host(m, map[string]any{"abuse": []any{"abuse at shakespeare.lit"}}))
	want := `modules.contact.abuse: "abuse at shakespeare.lit" is no URI such as mailto:abuse@capulet.lit`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
