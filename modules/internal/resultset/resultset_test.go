package resultset

import (
	"errors"
	"math"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, set string
		want      Page
		condition string
	}{
		{"none", "", Page{Max: -1}, ""},
		{"empty", "<set xmlns='http://jabber.org/protocol/rsm'/>", Page{Max: -1}, ""},
		{"first page", "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max></set>", Page{Max: 10}, ""},
		{"count", "<set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set>", Page{}, ""},
		{"next", "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max><after>a&amp;b</after></set>", Page{Max: 10, After: "a&b"}, ""},
		{"from the start", "<set xmlns='http://jabber.org/protocol/rsm'><after/></set>", Page{Max: -1}, ""},
		{"last", "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max><before/></set>", Page{Max: 10, Backward: true}, ""},
		{"previous", "<set xmlns='http://jabber.org/protocol/rsm'><before>b</before></set>", Page{Max: -1, Before: "b", Backward: true}, ""},
		{"between", "<set xmlns='http://jabber.org/protocol/rsm'><after>a</after><before>b</before></set>", Page{Max: -1, After: "a", Before: "b", Backward: true}, ""},
		{"huge", "<set xmlns='http://jabber.org/protocol/rsm'><max>99999999999999999999999</max></set>", Page{Max: math.MaxInt32}, ""},
		{"foreign children", "<set xmlns='http://jabber.org/protocol/rsm'><max xmlns='urn:example'>x</max></set>", Page{Max: -1}, ""},
		{"foreign set", "<set xmlns='urn:example'><max>10</max></set>", Page{Max: -1}, ""},
		{"no number", "<set xmlns='http://jabber.org/protocol/rsm'><max>many</max></set>", Page{}, "bad-request"},
		{"nothing", "<set xmlns='http://jabber.org/protocol/rsm'><max/></set>", Page{}, "bad-request"},
		{"negative", "<set xmlns='http://jabber.org/protocol/rsm'><max>-1</max></set>", Page{}, "bad-request"},
		{"index", "<set xmlns='http://jabber.org/protocol/rsm'><max>10</max><index>371</index></set>", Page{}, "feature-not-implemented"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var st stanza.Stanza
			if err := st.Parse([]byte("<iq><query xmlns='urn:example'>"+tt.set+"</query></iq>"), stanza.Limits{}); err != nil {
				t.Fatal(err)
			}
			got, err := Parse(st.Root().First())
			if tt.condition != "" {
				if e, ok := errors.AsType[*stanza.Error](err); !ok || e.Condition != tt.condition {
					t.Errorf("error %v, want %s", err, tt.condition)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		result Result
		want   string
	}{
		{Result{Count: -1, Index: -1}, "<set xmlns='http://jabber.org/protocol/rsm'/>"},
		{Result{Count: 800, Index: -1}, "<set xmlns='http://jabber.org/protocol/rsm'><count>800</count></set>"},
		{Result{"a", "b&", -1, -1}, "<set xmlns='http://jabber.org/protocol/rsm'><first>a</first><last>b&amp;</last></set>"},
		{Result{"a", "b", 20, 0}, "<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a</first><last>b</last><count>20</count></set>"},
	} {
		b := stanza.NewBuilder(nil)
		tt.result.Write(b)
		if got := string(b.Bytes()); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}
