package disco_test

import (
	"context"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/internal/dataform"
	"github.com/xmppd/xmppd/modules/internal/entity"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/storage"
)

// subscribers of juliet, by their state in her roster.
type subscribers map[string]storage.Subscription

func (s subscribers) Subscription(_ context.Context, owner, contact jid.JID) (storage.Subscription, error) {
	if owner.String() != "juliet@capulet.lit" {
		return storage.SubNone, nil
	}
	return s[contact.String()], nil
}

// other is a module that is there to be described.
type other struct{}

func (other) Info() modules.Info {
	return modules.Info{
		Name:            "other",
		Features:        []string{"urn:z", "urn:a", "http://jabber.org/protocol/disco#info"},
		AccountFeatures: []string{"urn:account"},
	}
}
func (other) Init(*modules.Host) error { return nil }

func world(t *testing.T) (*moduletest.World, *disco.Module) {
	w := moduletest.New(t)
	m := disco.New(
		subscribers{"romeo@capulet.lit": storage.SubBoth, "nurse@capulet.lit": storage.SubTo, "paris@capulet.lit": storage.SubFrom},
		func() (dataform.Form, bool) {
			return dataform.Form{Type: "urn:form", Fields: []dataform.Field{{Var: "v", Values: []string{"1"}}}}, true
		},
		func() (dataform.Form, bool) { return dataform.Form{}, false },
	)
	w.Init(m)
	w.Init(other{}) // registered after disco, described all the same
	return w, m
}

const (
	form = `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:form</value></field>` +
		`<field var='v'><value>1</value></field></x>`
	domain = `<identity category='server' type='im' name='xmppd'/>` +
		`<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>` +
		`<feature var='urn:a'/><feature var='urn:z'/>` + form + `</query></iq>`
	account = `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='account' type='registered'/>` +
		`<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>` +
		`<feature var='urn:account'/></query></iq>`
	unavailable = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
	notFound    = `<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	w, m := world(t)
	w.Login("juliet@capulet.lit/balcony").Presence(`<presence from='juliet@capulet.lit/balcony'/>`, 0)
	w.Login("juliet@capulet.lit/chamber")
	w.Login("juliet@capulet.lit/away").Presence(`<presence from='juliet@capulet.lit/away'/>`, -1)
	node := entity.Node + "#" + m.Domain().Ver()

	const info, items = "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items"
	query := func(ns, node string) string {
		if node != "" {
			return `<query xmlns='` + ns + `' node='` + node + `'/>`
		}
		return `<query xmlns='` + ns + `'/>`
	}
	tests := []struct {
		name, from, to, query string
		want                  string // behind the start tag of the IQ
		failed                bool
	}{
		{"domain", "romeo", "capulet.lit", query(info, ""), `<query xmlns='` + info + `'>` + domain, false},
		{"domain, caps node", "romeo", "capulet.lit", query(info, node), `<query xmlns='` + info + `' node='` + node + `'>` + domain, false},
		{"domain, other version", "romeo", "capulet.lit", query(info, entity.Node+"#old"), query(info, entity.Node+"#old") + notFound, true},
		{"domain, other node", "romeo", "capulet.lit", query(info, "x"), query(info, "x") + notFound, true},
		{"domain items", "romeo", "capulet.lit", query(items, ""), query(items, "") + `</iq>`, false},
		{"domain items of a node", "romeo", "capulet.lit", query(items, "x"), query(items, "x") + notFound, true},

		{"own account", "juliet", "juliet@capulet.lit", query(info, ""), account, false},
		{"own account, no to", "juliet", "", query(info, ""), account, false},
		{"own account, node", "juliet", "", query(info, "x"), query(info, "x") + notFound, true},
		{"account, both", "romeo", "juliet@capulet.lit", query(info, ""), account, false},
		{"account, from", "paris", "juliet@capulet.lit", query(info, ""), account, false},
		{"account, to", "nurse", "juliet@capulet.lit", query(info, ""), query(info, "") + unavailable, true},
		{"account, stranger", "tybalt", "juliet@capulet.lit", query(info, ""), query(info, "") + unavailable, true},
		{"account, stranger, node", "tybalt", "juliet@capulet.lit", query(info, "x"), query(info, "x") + unavailable, true},
		{"no account", "romeo", "mercutio@capulet.lit", query(info, ""), query(info, "") + unavailable, true},

		{
			"own items", "juliet", "", query(items, ""),
			`<query xmlns='` + items + `'><item jid='juliet@capulet.lit/balcony'/><item jid='juliet@capulet.lit/away'/></query></iq>`, false,
		},
		{
			"items, from", "paris", "juliet@capulet.lit", query(items, ""),
			`<query xmlns='` + items + `'><item jid='juliet@capulet.lit/balcony'/><item jid='juliet@capulet.lit/away'/></query></iq>`, false,
		},
		{"items, node", "paris", "juliet@capulet.lit", query(items, "x"), query(items, "x") + notFound, true},
		{"items, stranger", "tybalt", "juliet@capulet.lit", query(items, ""), query(items, "") + `</iq>`, false},
		{"items, stranger, node", "tybalt", "juliet@capulet.lit", query(items, "x"), query(items, "x") + `</iq>`, false},
		{"items, no account", "tybalt", "mercutio@capulet.lit", query(items, ""), query(items, "") + `</iq>`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from := tt.from + "@capulet.lit/r"
			to, by := "", ""
			if tt.to != "" {
				to, by = ` to='`+tt.to+`'`, ` from='`+tt.to+`'`
			}
			want := `<iq type='result' id='1'` + by + ` to='` + from + `'>` + tt.want
			if tt.failed {
				want = `<iq` + by + ` to='` + from + `' id='1' type='error'>` + tt.want
			}
			if got := w.IQ(from, `<iq type='get' id='1'`+to+`>`+tt.query+`</iq>`); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
