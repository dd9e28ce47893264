package roster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func TestExport(t *testing.T) {
	t.Parallel()
	romeo := jid.MustParse("romeo@montague.lit")
	for name, tt := range map[string]struct {
		items []storage.RosterItem
		want  string
	}{
		"nobody": {nil, "<query xmlns='jabber:iq:roster'>\n</query>\n"},
		"contacts": {
			[]storage.RosterItem{
				{Contact: jid.MustParse("juliet@capulet.lit"), Name: "<J> & 'co'", Groups: []string{"a&b", "c"}, Sub: storage.SubBoth, Listed: true},
				{Contact: jid.MustParse("nurse@capulet.lit"), Ask: true, Approved: true, Listed: true},
			},
			"<query xmlns='jabber:iq:roster'>\n" +
				"<item jid='juliet@capulet.lit' name='&lt;J&gt; &amp; &apos;co&apos;' subscription='both'><group>a&amp;b</group><group>c</group></item>\n" +
				"<item jid='nurse@capulet.lit' subscription='none' ask='subscribe' approved='true'/>\n" +
				"</query>\n",
		},
		"requests": {
			[]storage.RosterItem{
				{Contact: jid.MustParse("a@capulet.lit"), Sub: storage.SubTo, Listed: true, PendingIn: []byte("<presence type='subscribe' from='a@capulet.lit'/>")},
				{Contact: jid.MustParse("b@capulet.lit"), PendingIn: []byte("<presence type='subscribe' from='b@capulet.lit' id='1'><status>5 &gt; 4</status></presence>")},
			},
			"<query xmlns='jabber:iq:roster'>\n<item jid='a@capulet.lit' subscription='to'/>\n</query>\n" +
				"<presence xmlns='jabber:client' type='subscribe' from='a@capulet.lit'/>\n" +
				"<presence xmlns='jabber:client' type='subscribe' from='b@capulet.lit' id='1'><status>5 &gt; 4</status></presence>\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := database(t)
			db.put(t, romeo, tt.items...)
			d := &domain{Module: New(db, nil)}
			var b strings.Builder
			if err := d.export(t.Context(), romeo, &b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
