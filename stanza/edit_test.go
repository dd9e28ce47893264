package stanza_test

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

func TestEmit(t *testing.T) {
	t.Parallel()
	const base = "<message from='f' id = '1' to='t'><a/><b>x</b><c/></message>"
	child := func(s *stanza.Stanza, name string) stanza.Elem { return s.Root().Child(stanza.NSClient, name) }
	for _, tc := range []struct {
		name, xml      string
		edit           func(*stanza.Stanza)
		sent, received string
	}{
		{"nothing", base, func(*stanza.Stanza) {}, base, base},
		{
			"add an attribute", "<message to='t'/>",
			func(s *stanza.Stanza) { s.SetAttr(stanza.Sent, "from", "a'b<c>&\"\n") },
			"<message from='a&apos;b&lt;c&gt;&amp;&quot;&#10;' to='t'/>",
			"<message from='a&apos;b&lt;c&gt;&amp;&quot;&#10;' to='t'/>",
		},
		{
			"replace an attribute", base,
			func(s *stanza.Stanza) { s.SetAttr(stanza.Sent, "id", "2") },
			"<message from='f' id = '2' to='t'><a/><b>x</b><c/></message>",
			"<message from='f' id = '2' to='t'><a/><b>x</b><c/></message>",
		},
		{
			"replace in double quotes", `<message id="1"/>`,
			func(s *stanza.Stanza) { s.SetAttr(stanza.Sent, "id", `'"`) },
			`<message id="&apos;&quot;"/>`, `<message id="&apos;&quot;"/>`,
		},
		{
			"the last value counts", base,
			func(s *stanza.Stanza) {
				s.SetAttr(stanza.Sent, "id", "2")
				s.RemoveAttr(stanza.Sent, "id")
				s.SetAttr(stanza.Sent, "id", "3")
				s.SetAttr(stanza.Sent, "lang", "x")
				s.RemoveAttr(stanza.Sent, "lang")
			},
			"<message from='f' id = '3' to='t'><a/><b>x</b><c/></message>",
			"<message from='f' id = '3' to='t'><a/><b>x</b><c/></message>",
		},
		{
			"remove attributes", base,
			func(s *stanza.Stanza) {
				s.RemoveAttr(stanza.Sent, "to")
				s.RemoveAttr(stanza.Sent, "from")
				s.RemoveAttr(stanza.Sent, "nothing")
			},
			"<message id = '1'><a/><b>x</b><c/></message>",
			"<message id = '1'><a/><b>x</b><c/></message>",
		},
		{
			"add, replace and remove at once", base,
			func(s *stanza.Stanza) {
				s.SetAttr(stanza.Sent, "x", "y")
				s.SetAttr(stanza.Sent, "to", "u")
				s.RemoveAttr(stanza.Sent, "id")
			},
			"<message x='y' from='f' to='u'><a/><b>x</b><c/></message>",
			"<message x='y' from='f' to='u'><a/><b>x</b><c/></message>",
		},
		{
			"attributes of both sides", base,
			func(s *stanza.Stanza) {
				s.SetAttr(stanza.Received, "to", "r")
				s.SetAttr(stanza.Sent, "to", "s")
				s.SetAttr(stanza.Sent, "new", "s")
				s.SetAttr(stanza.Received, "new", "r")
				s.RemoveAttr(stanza.Received, "id")
			},
			"<message new='s' from='f' id = '1' to='s'><a/><b>x</b><c/></message>",
			"<message new='r' from='f' to='r'><a/><b>x</b><c/></message>",
		},
		{
			"what one side adds the other removes", base,
			func(s *stanza.Stanza) {
				s.SetAttr(stanza.Sent, "new", "s")
				s.RemoveAttr(stanza.Received, "new")
			},
			"<message new='s' from='f' id = '1' to='t'><a/><b>x</b><c/></message>", base,
		},
		{
			"cuts", base,
			func(s *stanza.Stanza) {
				s.Cut(stanza.Sent, child(s, "c"))
				s.Cut(stanza.Received, child(s, "a"))
				s.Cut(stanza.Sent, s.Root())
				s.Cut(stanza.Sent, stanza.Elem{})
			},
			"<message from='f' id = '1' to='t'><a/><b>x</b></message>",
			"<message from='f' id = '1' to='t'><b>x</b></message>",
		},
		{
			"a cut inside a cut", "<message><a><b/>1</a>2</message>",
			func(s *stanza.Stanza) {
				s.Cut(stanza.Sent, child(s, "a").First())
				s.Cut(stanza.Sent, child(s, "a"))
				s.Cut(stanza.Received, child(s, "a"))
			},
			"<message>2</message>", "<message>2</message>",
		},
		{
			"appends", base,
			func(s *stanza.Stanza) {
				s.Append(stanza.Sent, []byte("<s/>"))
				s.Append(stanza.Received, []byte("<r/>"))
				s.Append(stanza.Received, []byte("<r2/>"))
				s.Append(stanza.Sent, nil)
				s.Cut(stanza.Sent, child(s, "c"))
			},
			"<message from='f' id = '1' to='t'><a/><b>x</b><s/></message>",
			"<message from='f' id = '1' to='t'><a/><b>x</b><r/><r2/></message>",
		},
		{
			"append to an empty element", "<presence  />",
			func(s *stanza.Stanza) {
				s.Append(stanza.Sent, []byte("<s/>"))
				s.SetAttr(stanza.Received, "from", "f")
			},
			"<presence  ><s/></presence>", "<presence from='f'  />",
		},
		{
			"all at once behind a moved start", "<message id='1' xmlns='jabber:client' to='t'><a/></message>",
			func(s *stanza.Stanza) {
				s.SetAttr(stanza.Sent, "id", "2")
				s.SetAttr(stanza.Sent, "from", "f")
				s.Cut(stanza.Sent, child(s, "a"))
				s.Append(stanza.Received, []byte("<r/>"))
			},
			"<message from='f' id='2' to='t'></message>", "<message from='f' id='2' to='t'><r/></message>",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			st := parse(t, tc.xml)
			tc.edit(st)
			for range 2 { // emitting changes nothing
				if got := string(st.Emit([]byte("…"), stanza.Sent)); got != "…"+tc.sent {
					t.Errorf("sent\n %s, want\n %s", got, tc.sent)
				}
				if got := string(st.Emit(nil, stanza.Received)); got != tc.received {
					t.Errorf("received\n %s, want\n %s", got, tc.received)
				}
				if longest := len(st.EmitForwarded(nil, stanza.Received)); longest > st.Size() {
					t.Errorf("Size %d, %d written", st.Size(), longest)
				}
			}
		})
	}
}

func TestEmitForwarded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ xml, want string }{
		{"<message to='t'/>", "<message xmlns='jabber:client' from='f' to='t'/>"},
		{"<message xmlns='jabber:client' from='x'/>", "<message xmlns='jabber:client' from='f'/>"},
		{"<a xmlns='urn:a'/>", "<a from='f' xmlns='urn:a'/>"},
	} {
		st := parse(t, tc.xml)
		st.SetAttr(stanza.Sent, "from", "f")
		if got := string(st.EmitForwarded(nil, stanza.Received)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.xml, got, tc.want)
		}
	}
}
