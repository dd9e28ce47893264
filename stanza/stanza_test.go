package stanza_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/internal/streamcase"
	"github.com/xmppd/xmppd/stanza"
)

func TestKindAndType(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		xml  string
		kind stanza.Kind
		typ  stanza.Type
	}{
		{"<message/>", stanza.Message, stanza.None},
		{"<message type='normal'/>", stanza.Message, stanza.None},
		{"<message type='chat'/>", stanza.Message, stanza.Chat},
		{"<message type='ch&#97;t'/>", stanza.Message, stanza.Chat},
		{"<message type='groupchat'/>", stanza.Message, stanza.Groupchat},
		{"<message type='headline'/>", stanza.Message, stanza.Headline},
		{"<message type='error'/>", stanza.Message, stanza.ErrorType},
		{"<message type='set'/>", stanza.Message, stanza.None}, // RFC 6121 §5.2.2
		{"<presence/>", stanza.Presence, stanza.None},
		{"<presence type='unavailable'/>", stanza.Presence, stanza.Unavailable},
		{"<presence type='subscribe'/>", stanza.Presence, stanza.Subscribe},
		{"<presence type='subscribed'/>", stanza.Presence, stanza.Subscribed},
		{"<presence type='unsubscribe'/>", stanza.Presence, stanza.Unsubscribe},
		{"<presence type='unsubscribed'/>", stanza.Presence, stanza.Unsubscribed},
		{"<presence type='probe'/>", stanza.Presence, stanza.Probe},
		{"<presence type='error'/>", stanza.Presence, stanza.ErrorType},
		{"<presence type='chat'/>", stanza.Presence, stanza.InvalidType},
		{"<iq type='get'/>", stanza.IQ, stanza.Get},
		{"<iq type='set'/>", stanza.IQ, stanza.Set},
		{"<iq type='result'/>", stanza.IQ, stanza.Result},
		{"<iq type='error'/>", stanza.IQ, stanza.ErrorType},
		{"<iq/>", stanza.IQ, stanza.InvalidType}, // RFC 6120 §8.2.3
		{"<iq type='probe'/>", stanza.IQ, stanza.InvalidType},
		{"<messages type='chat'/>", stanza.Other, stanza.None},
		{"<message xmlns='jabber:server' type='chat'/>", stanza.Other, stanza.None},
	} {
		st := parse(t, tc.xml)
		if st.Kind != tc.kind || st.Type != tc.typ {
			t.Errorf("%s is %v %v, want %v %v", tc.xml, st.Kind, st.Type, tc.kind, tc.typ)
		}
	}
}

func TestClass(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		children string
		want     stanza.Class
	}{
		{"", 0},
		{"<body>hi</body>", stanza.Body},
		{"<body xmlns='urn:x'>hi</body>", 0},
		{"<x xmlns='urn:x'><body xmlns='jabber:client'>hi</body></x>", 0},
		{"<subject/><body>hi</body>", stanza.Subject | stanza.Body},
		{"<error type='cancel'/>", stanza.HasError},
		{"<encrypted xmlns='eu.siacs.conversations.axolotl'/>", stanza.Encrypted},
		{"<encrypted xmlns='urn:xmpp:omemo:2'/>", stanza.Encrypted},
		{"<openpgp xmlns='urn:xmpp:openpgp:0'/>", stanza.Encrypted},
		{"<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:otr:0'/>", stanza.Encrypted},
		{"<composing xmlns='http://jabber.org/protocol/chatstates'/>", stanza.ChatState},
		{"<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", stanza.Marker},
		{"<markable xmlns='urn:xmpp:chat-markers:0'/>", stanza.Markable},
		{"<received xmlns='urn:xmpp:receipts' id='1'/>", stanza.Receipt},
		{"<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>", stanza.Call},
		{"<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", stanza.Retraction},
		{"<retracted xmlns='urn:xmpp:message-retract:1' id='1'/>", 0},
		{"<apply-to xmlns='urn:xmpp:fasten:0' id='1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>", stanza.Retraction},
		{"<replace xmlns='urn:xmpp:message-correct:0' id='1'/>", stanza.Correction},
		{"<event xmlns='http://jabber.org/protocol/pubsub#event'><items/></event>", stanza.PEPEvent},
		{"<no-copy xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/>", stanza.NoCopy | stanza.NoStore},
		{"<no-permanent-store xmlns='urn:xmpp:hints'/><store xmlns='urn:xmpp:hints'/>", stanza.NoPermanentStore | stanza.Store},
		{"<private xmlns='urn:xmpp:carbons:2'/>", stanza.Private},
		{"<received xmlns='urn:xmpp:carbons:2'/>", stanza.Carbon},
		{"<c:sent xmlns:c='urn:xmpp:carbons:2'/>", stanza.Carbon},
		{"<enable xmlns='urn:xmpp:carbons:2'/>", 0},
		{"<x xmlns='http://jabber.org/protocol/muc#user'/>", stanza.MUCUser},
		{"<x xmlns='http://jabber.org/protocol/muc#user'><decline/></x>", stanza.MUCUser},
		{"<x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@b'/></x>", stanza.MUCUser | stanza.Invite},
		{"<x xmlns='jabber:x:conference' jid='room@b'/>", stanza.Invite},
		{"<delay xmlns='urn:xmpp:delay' stamp='x'/>", stanza.Delay},
		{"<origin-id xmlns='urn:xmpp:sid:0' id='1'/>", stanza.OriginID},
		{"<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>", stanza.StanzaID},
		{"<reactions xmlns='urn:xmpp:reactions:0' id='1'/>", stanza.Reaction},
		{"<result xmlns='urn:xmpp:mam:2' id='1'/>", stanza.Archive},
		{"<s:origin-id xmlns:s='urn:xmpp:sid:0' id='1'/>", stanza.OriginID},
	} {
		if st := parse(t, "<message>"+tc.children+"</message>"); st.Class != tc.want {
			t.Errorf("%s: class %b, want %b", tc.children, st.Class, tc.want)
		}
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	c := opened(t, "<s:stream to='l&amp;h' from='a@b' version=\"1.0\" xml:lang='de' id='7'"+
		" xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>")
	h := c.Header()
	got := []string{h.To, h.From, h.Version, h.Lang, h.ID, h.NS, h.StreamNS, h.Name}
	want := []string{"l&h", "a@b", "1.0", "de", "7", stanza.NSClient, stanza.NSStream, "stream"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	c.Reset(stanza.Limits{})
	if c.Header().To != "" || c.Header().Name != "" {
		t.Error("the header outlives Reset")
	}
}

// TestHeaderOfRefusal: an answer needs to know whom the client wanted.
func TestHeaderOfRefusal(t *testing.T) {
	t.Parallel()
	var c stanza.Cutter
	_, _, err := c.Next([]byte("<stream:stream to='localhost' xmlns:stream='urn:wrong'>"), new(stanza.Stanza))
	if err == nil || c.Header().To != "localhost" {
		t.Errorf("error %v, header to %q", err, c.Header().To)
	}
}

// TestRestart: nothing of the old stream counts in the new one (RFC 6120 §4.3.3).
func TestRestart(t *testing.T) {
	t.Parallel()
	c := opened(t, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:x='urn:x'>")
	var st stanza.Stanza
	if tok, _, err := c.Next([]byte("<message><x:a/></message>"), &st); tok != stanza.Element {
		t.Fatal(tok, err)
	}
	c.Reset(stanza.Limits{})
	got := cut(t, c, []byte(streamcase.Header+"<message><x:a/></message>"), func() int { return 5 })
	if diff := cmp.Diff([]string{"header", "error not-well-formed"}, got); diff != "" {
		t.Errorf("after the restart (-want +got):\n%s", diff)
	}
}

// TestErrorStays: a stream that is broken stays broken.
func TestErrorStays(t *testing.T) {
	t.Parallel()
	c := opened(t, streamcase.Header)
	var st stanza.Stanza
	_, _, err := c.Next([]byte("<message><!--"), &st)
	_, n, again := c.Next([]byte("<presence/>"), &st)
	if err == nil || n != 0 || !errors.Is(again, err) || st.Root().OK() {
		t.Errorf("%v, then %d bytes and %v", err, n, again)
	}
}

// TestLimitsChange: what is allowed before login is less than after.
func TestLimitsChange(t *testing.T) {
	t.Parallel()
	xml := []byte("<message><body>" + strings.Repeat("x", 200) + "</body></message>")
	for _, limit := range []int{100, 1000} {
		c := opened(t, streamcase.Header)
		c.SetLimits(stanza.Limits{Bytes: limit})
		var st stanza.Stanza
		if _, _, err := c.Next(xml, &st); (err == nil) != (limit == 1000) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

// TestSlowSender would take minutes if bytes were looked at again and again.
func TestSlowSender(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 250<<10)
	for _, in := range []string{
		"<message><body>" + long, "<message a='" + long, "<message " + long, "<" + long, "</stream:stream" + long,
		"<message " + strings.Repeat(" ", len(long)), "<message><" + long[:len(long)/3] + "></" + long[:len(long)/3],
		"<message><body><![CDATA[" + strings.Repeat("] ", len(long)/2), "<message>" + strings.Repeat("&amp;", len(long)/5),
	} {
		c := opened(t, streamcase.Header)
		var st stanza.Stanza
		for n, b := 0, []byte(in); n < len(b); n++ {
			if tok, _, err := c.Next(b[:n], &st); tok != stanza.NeedMore || err != nil && in[1] != '/' {
				t.Fatalf("%.20q at %d: %v, %v", in, n, tok, err)
			}
		}
	}
}

// TestParseKeepsRowsReadable: what Parse moved still parses.
func TestParseKeepsRowsReadable(t *testing.T) {
	t.Parallel()
	row := []byte("<message id='1' xmlns='jabber:client' to='a'><body/></message>")
	for range 2 {
		var st stanza.Stanza
		if err := st.Parse(row, stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := string(st.Raw()); got != "<message id='1' to='a'><body/></message>" {
			t.Fatal(got)
		}
		if string(st.ID()) != "1" || string(st.To()) != "a" || st.From() != nil {
			t.Fatalf("id %q, to %q, from %q", st.ID(), st.To(), st.From())
		}
	}
}

// TestReparse: no limit that a stream may have had stands in the way.
func TestReparse(t *testing.T) {
	t.Parallel()
	for name, xml := range map[string]string{
		"bytes":    "<message><body>" + strings.Repeat("x", 300<<10) + "</body></message>",
		"depth":    "<message>" + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</message>",
		"elements": "<message>" + strings.Repeat("<a/>", 10_000) + "</message>",
	} {
		var st stanza.Stanza
		if err := st.Parse([]byte(xml), stanza.Limits{}); err == nil {
			t.Errorf("%s: within the default limits", name)
		}
		if err := st.Reparse([]byte(xml)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestElem(t *testing.T) {
	t.Parallel()
	st := parse(t, "<iq type='set' id='1&amp;2' xml:lang='de'><query xmlns='jabber:iq:roster' a='&lt;\n&#10;'>"+
		"<item jid='a'/> <item jid='b'><group>x</group><group>y</group></item></query></iq>")
	root := st.Root()
	if v, _ := root.Attr("id"); v != "1&2" || string(st.ID()) != "1&2" {
		t.Errorf("id %q", v)
	}
	if v, ok := root.Attr("xml:lang"); v != "de" || !ok {
		t.Errorf("lang %q", v)
	}
	if _, ok := root.Attr("to"); ok {
		t.Error("to is there")
	}
	query := root.First()
	if !query.Is("jabber:iq:roster", "query") || query.Next().OK() || query.Parent() != root {
		t.Errorf("query %s", query.Raw())
	}
	if v, _ := query.Attr("a"); v != "< \n" {
		t.Errorf("a %q", v)
	}
	var jids []string
	for item := range query.Children() {
		v, _ := item.Attr("jid")
		jids = append(jids, v)
	}
	if !slices.Equal(jids, []string{"a", "b"}) {
		t.Errorf("items %q", jids)
	}
	if got := string(query.Child("jabber:iq:roster", "item").Next().Inner()); got != "<group>x</group><group>y</group>" {
		t.Errorf("inner %q", got)
	}
	if got := query.First().Next().First().Next().Text(); got != "y" {
		t.Errorf("text %q", got)
	}
	if query.Child("jabber:iq:roster", "group").OK() {
		t.Error("Child looks deeper than children")
	}
}

func TestNoElem(t *testing.T) {
	t.Parallel()
	var st stanza.Stanza
	for _, e := range []stanza.Elem{{}, st.Root(), st.Root().First().Next().Parent().Child("", "")} {
		_, ok := e.Attr("a")
		if e.OK() || ok || e.Name() != nil || e.NS() != nil || e.Raw() != nil || e.Inner() != nil ||
			e.Text() != "" || e.AppendTo(nil) != nil || e.Is("", "") {
			t.Error("the zero value is something")
		}
		for range e.Children() {
			t.Error("the zero value has children")
		}
		for range e.Attrs() {
			t.Error("the zero value has attributes")
		}
	}
	st.SetAttr(stanza.Sent, "from", "a")
	st.Append(stanza.Sent, []byte("<a/>"))
	if st.Raw() != nil || st.Emit(nil, stanza.Sent) != nil {
		t.Error("an empty stanza is something")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                              "",
		"plain":                         "plain",
		"1 &lt; 2 &#x26; &#128512;":     "1 < 2 & 😀",
		"a<![CDATA[<&amp;]]]]>b":        "a<&amp;]]b",
		"a\r\nb\rc\n<![CDATA[\r\n]]>":   "a\nb\nc\n\n",
		"&#13;":                         "\r",
		"one <b>not<i>this</i></b> two": "one  two",
	} {
		if got := parse(t, "<message><body>"+in+"</body></message>").Root().First().Text(); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestAppendTo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		xml, want string // of the last grandchild
	}{
		{"<message><a><b/></a></message>", "<b/>"},
		{"<message><a xmlns='urn:a'><b c='d'>e</b></a></message>", "<b xmlns='urn:a' c='d'>e</b>"},
		{"<message><a xmlns='urn:a'><b xmlns='urn:b'/></a></message>", "<b xmlns='urn:b'/>"},
		{"<message><a xmlns='urn:a'><b xmlns='jabber:client'/></a></message>", "<b xmlns='jabber:client'/>"},
		{"<message><a xmlns=''><b/></a></message>", "<b xmlns=''/>"},
		{"<message xmlns:x='urn:x'><a><x:b><x:c/></x:b></a></message>", "<b xmlns='urn:x'><c/></b>"},
		{"<message xmlns:x='urn:x'><a><b x:c='d'/></a></message>", "<b x:c='d' xmlns:x='urn:x'/>"},
		{"<message><a><x:b xmlns:x='urn:x'><x:c/></x:b></a></message>", "<b xmlns='urn:x' xmlns:x='urn:x'><x:c/></b>"},
	} {
		if got := string(parse(t, tc.xml).Root().First().First().AppendTo(nil)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.xml, got, tc.want)
		}
	}
}

// TestClone: a clone does not notice what happens to the buffer.
func TestClone(t *testing.T) {
	t.Parallel()
	buf := []byte("<message xmlns='jabber:client' to='a'><body>hi</body></message>")
	var st stanza.Stanza
	if err := st.Parse(buf, stanza.Limits{}); err != nil {
		t.Fatal(err)
	}
	added := []byte("<x/>")
	st.SetAttr(stanza.Sent, "from", "b")
	st.Append(stanza.Sent, added)
	c := st.Clone()
	clear(buf)
	clear(added)
	st.Reset()
	if got := string(c.Emit(nil, stanza.Sent)); got != "<message from='b' to='a'><body>hi</body><x/></message>" {
		t.Error(got)
	}
	if c.Root().First().Text() != "hi" || c.Kind != stanza.Message || !c.Class.Has(stanza.Body) {
		t.Error("the clone lost something")
	}
}

func TestReuse(t *testing.T) {
	t.Parallel()
	var st stanza.Stanza
	big := "<message><x xmlns='urn:x'>" + strings.Repeat("<a b='c'/>", 5000) + "</x></message>"
	for _, xml := range []string{big, "<presence/>", "<iq type='get'><a/></iq>", big} {
		st.SetAttr(stanza.Sent, "from", "a")
		if err := st.Parse([]byte(xml), stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := st.Emit(nil, stanza.Sent); !bytes.Equal(got, []byte(xml)) {
			t.Errorf("%.40s became %.40s", xml, got)
		}
	}
}
