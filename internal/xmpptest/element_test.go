package xmpptest

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want, got string
		ok        bool
	}{
		{"<message id='1' to='a'><body>x</body></message>", "<message to=\"a\"\n id=\"1\"><body>x</body></message>", true},
		{"<message>\n <body>x</body>\n</message>", "<message><body>x</body></message>", true},
		{"<message><body>x</body></message>", "<message><body>x </body></message>", false},
		{"<message><body>&lt;</body></message>", "<message><body><![CDATA[<]]></body></message>", true},
		{"<message><x xmlns='urn:x'><y/></x></message>", "<message><p:x xmlns:p='urn:x'><p:y/></p:x></message>", true},
		{"<message><x xmlns='urn:x'><y/></x></message>", "<message><p:x xmlns:p='urn:x'><y/></p:x></message>", false},
		{"<message><a/><b/></message>", "<message><b/><a/></message>", false},
		{"<message><a/></message>", "<message><a/><b/></message>", false},
		{"<message/>", "<message type='chat'/>", false},
		{"<message/>", "<message xml:lang='en'/>", true},
		{"<message xml:lang='de'/>", "<message xml:lang='en'/>", false},
		{"<message><body/></message>", "<message><body xml:lang='en'/></message>", false},
		{"<iq id='{any}'><x>{any}</x></iq>", "<iq id='7'><x>text</x></iq>", true},
		{"<iq id='{any}'><x>{any}</x></iq>", "<iq id='7'><x/></iq>", true},
		{"<iq id='{a}' to='{a}'/>", "<iq id='7' to='7'/>", true},
		{"<iq id='{a}' to='{a}'/>", "<iq id='7' to='8'/>", false},
		{"<iq type='error'><error type='wait'><a/></error></iq>", "<iq type='error'><query xmlns='urn:q'/><error type='wait'><a/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>x</text></error></iq>", true},
		{"<iq type='error'><error type='wait'><a/></error></iq>", "<iq type='error'><error type='wait'><b/></error></iq>", false},
		{"<message><a/></message>", "<message><a/><stanza-id xmlns='urn:xmpp:sid:0'/></message>", true},
		{"<x xmlns='urn:x'><message><a/></message></x>", "<x xmlns='urn:x'><message><stanza-id xmlns='urn:xmpp:sid:0'/><a/></message></x>", true},
		{"<message><stanza-id xmlns='urn:xmpp:sid:0'/></message>", "<message/>", false},
		{"<message><stanza-id xmlns='urn:xmpp:sid:0'/></message>", "<message><stanza-id xmlns='urn:xmpp:sid:0'/><stanza-id xmlns='urn:xmpp:sid:0'/></message>", false},
		{"<x xmlns='urn:x'>mixed <b/> text</x>", "<x xmlns='urn:x'>mixed <b/> text</x>", true},
		{"<x xmlns='urn:x'>mixed <b/> text</x>", "<x xmlns='urn:x'>mixed <b/>text</x>", false},
	} {
		want, err := Parse(tt.want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(tt.got)
		if err != nil {
			t.Fatal(err)
		}
		if Match(want[0], got[0], Vars{}) != tt.ok {
			t.Errorf("%s and %s: want %v", tt.want, tt.got, tt.ok)
		}
	}
}

func TestParseIsStrict(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"<a>", "<a></b>", "text", "<a/>text", "<a/><!-- c -->", "<a"} {
		if e, err := Parse(text); err == nil {
			t.Errorf("%q was read as %v", text, e)
		}
	}
	e, err := Parse(" <a x='1'/>\n<b>t</b> ")
	if err != nil || len(e) != 2 || e[0].Raw != "<a x='1'/>" || e[1].Raw != "<b>t</b>" {
		t.Errorf("%v %v", e, err)
	}
}

// A mistake in a file is found before anything runs, with its line.
func TestScenarioMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"romeo/home connects":                         "1: a scenario begins with a comment",
		"# x\nromeo/home conects":                     `2: cannot be understood: "romeo/home conects"`,
		"# x\n\nromeo/home sends:":                    "3: indented lines are missing",
		"# x\nromeo/home connects\n  <message/>":      "2: indented lines are missing, or too many",
		"# x\nromeo/home sends:\n  <message><a></b>":  "2: XML syntax error",
		"# x\nromeo/home receives:\n  <message/> abc": "2: text between elements",
	} {
		err := new(Scenario).parse(text, rules())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}
