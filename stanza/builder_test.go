package stanza_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

func TestBuilder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		got  *stanza.Builder
		want string
	}{
		{stanza.Build("iq"), "<iq/>"},
		{stanza.Build("iq").Attr("type", "").Attr("id", "<'>"), "<iq type='' id='&lt;&apos;&gt;'/>"},
		{stanza.Build("iq").Open("query", "urn:q").Text("a", "1 > 0 \"&\" 'x'\n\r").Empty("b", "urn:b").Close().Text("c", ""),
			"<iq><query xmlns='urn:q'><a>1 &gt; 0 \"&amp;\" 'x'\n&#13;</a><b xmlns='urn:b'/></query><c/></iq>"},
		{stanza.Build("a").Raw([]byte("<b/>")).Raw(nil).Chars("").Close().Close(), "<a><b/></a>"},
		{stanza.Build("a").Chars("\x00\x1f\xff\uFFFE\uFFFF\uFFFDж\x7f"), "<a>\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDж\x7f</a>"},
		{stanza.NewBuilder([]byte("before")).Open("stream:features", "").Open("c", ""), "before<stream:features><c/></stream:features>"},
	} {
		if got := string(tc.got.Bytes()); got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
	}
}

func TestBuilderDeep(t *testing.T) {
	t.Parallel()
	var b stanza.Builder
	for range 2 {
		b.Reset()
		var open, shut string
		for i := range 40 {
			name := fmt.Sprint("e", i)
			b.Open(name, "")
			open, shut = open+"<"+name+">", "</"+name+">"+shut
		}
		b.Chars("x")
		if got := string(b.Bytes()); got != open+"x"+shut || b.Len() != len(got) {
			t.Error(got)
		}
	}
}

func TestBuilderAttrTooLate(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	stanza.Build("a").Chars("x").Attr("b", "c")
}

// TestEscapeRoundTrip: what is escaped reads back, in both places.
func TestEscapeRoundTrip(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a", "<&>'\"", "\t\n\r ", " ж€😀 ", "]]>", strings.Repeat("&", 100)} {
		xml := string(stanza.Build("message").Attr("a", s).Text("body", s).Bytes())
		root := parse(t, xml).Root()
		if v, _ := root.Attr("a"); v != s || root.First().Text() != s {
			t.Errorf("%q became %q and %q", s, v, root.First().Text())
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	e := *stanza.Gone("moved <away>")
	e.Data, e.By = "xmpp:a@b", "host"
	for _, tc := range []struct {
		got  []byte
		want string
	}{
		{stanza.BadRequest("").AppendTo(nil), "<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"},
		{stanza.ServiceUnavailable("").Wait().WithApp([]byte("<full xmlns='urn:x'/>")).AppendTo(nil),
			"<error type='wait'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><full xmlns='urn:x'/></error>"},
		{e.AppendTo(nil), "<error type='cancel' by='host'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:a@b</gone>" +
			"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>moved &lt;away&gt;</text></error>"},
		{(&stanza.StreamError{Condition: stanza.StreamSeeOtherHost, See: "[::1]:5222", Text: "there"}).AppendTo(nil),
			"<stream:error xmlns:stream='http://etherx.jabber.org/streams'>" +
				"<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>[::1]:5222</see-other-host>" +
				"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>there</text></stream:error>"},
	} {
		if string(tc.got) != tc.want {
			t.Errorf("%s, want %s", tc.got, tc.want)
		}
		parse(t, string(tc.got))
	}
	if got := e.Error(); got != "gone: moved <away>" {
		t.Error(got)
	}
}

func TestBuildError(t *testing.T) {
	t.Parallel()
	const err = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	long := "<body>" + strings.Repeat("x", 4<<10) + "</body>"
	for _, tc := range []struct{ xml, from, to, want string }{
		{"<iq type='get' id='1&amp;' to='s' from='c'><ping xmlns='urn:xmpp:ping'/></iq>", "s", "c",
			"<iq from='s' to='c' id='1&amp;' type='error'><ping xmlns='urn:xmpp:ping'/>" + err + "</iq>"},
		{"<presence/>", "", "c", "<presence to='c' type='error'>" + err + "</presence>"},
		{"<message id='1'>" + long + "</message>", "s", "c", "<message from='s' to='c' id='1' type='error'>" + err + "</message>"},
		{"<message xmlns:x='urn:x'><x:y/></message>", "s", "", "<message from='s' type='error' xmlns:x='urn:x'><x:y/>" + err + "</message>"},
	} {
		got := string(parse(t, tc.xml).BuildError(tc.from, tc.to, stanza.ItemNotFound("")).Bytes())
		if got != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
		parse(t, got)
	}
}
