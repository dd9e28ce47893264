package storage_test

import (
	"testing"

	"github.com/xmppd/xmppd/storage"
)

func TestHasID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		xml, id string
		want    bool
	}{
		{"<message id='a'/>", "a", true},
		{"<message id='a'/>", "A", false},
		{"<message id='a&amp;b'/>", "a&b", true},
		{"<message id=''/>", "", false},
		{"<message/>", "", false},
		{"<message><origin-id xmlns='urn:xmpp:sid:0' id='a'/></message>", "a", true},
		{"<message id='a'><body/><origin-id xmlns='urn:xmpp:sid:0' id='b'/></message>", "b", true},
		{"<message><stanza-id xmlns='urn:xmpp:sid:0' id='a' by='x'/></message>", "a", false},
		{"<message><origin-id xmlns='urn:xmpp:sid:1' id='a'/></message>", "a", false},
		{"<message><origin-id id='a'/></message>", "a", false},
		{"<message><forwarded xmlns='urn:xmpp:forward:0'><origin-id xmlns='urn:xmpp:sid:0' id='a'/></forwarded></message>", "a", false},
		{"<message id='a'", "a", false},
		{"", "a", false},
	} {
		if got := storage.HasID([]byte(c.xml), c.id); got != c.want {
			t.Errorf("HasID(%s, %q) = %v", c.xml, c.id, got)
		}
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	const (
		origin = "<origin-id xmlns='urn:xmpp:sid:0' id='a'/>"
		delay  = "<delay xmlns='urn:xmpp:delay' stamp='2024-05-01T12:00:00Z'/>"
	)
	for _, c := range []struct {
		xml, again string
		want       bool
	}{
		{"<message id='a'><body>x</body></message>", "<message id='a'><body>x</body></message>", true},
		{"<message id='a'><body>x</body></message>", "<message id='a'><body>y</body></message>", false},
		{"<message id='a'><body>x</body></message>", "<message id='a'><body>x </body></message>", false},
		{"<message id='b'><body>x</body></message>", "<message id='a'><body>x</body></message>", false},
		{"<message id='b'><body>x</body>" + origin + "</message>", "<message id='a'><body>x</body></message>", true},
		{"<message id='a' to='c/d'><body>x</body></message>", "<message id='a' to='c'>" + delay + "<body>x</body>" + origin + "</message>", true},
		{"<message id='a'><body>&lt;x&gt;</body></message>", "<message id='a'><body>&lt;x></body></message>", true},
		{"<message id='a'><body>x</body><body xml:lang='de'>y</body></message>", "<message id='a'><body>x</body></message>", true},
		{"<message id='a'><body>x</body></message>", "<message id='a'><body>y</body><body>x</body></message>", false},
		{"<message id='a'><x xmlns='urn:x'><body>x</body></x></message>", "<message id='a'><body xmlns='urn:x'>x</body></message>", true},
		{"<message id='a'><e xmlns='urn:e'>1</e><body>x</body></message>", "<message id='a'><e xmlns='urn:e'>2</e><body>x</body></message>", true},
		{"<message id='a'/>", "<message id='a'>" + origin + "</message>", true},
		{"<message id='a'/>", "<message id='a'><body>x</body></message>", false},
		{"<message id='a'><body>x</body></message>", "<message id='a'/>", false},
		{"<message id='a'/>", "<message id='a'", false},
		{"<message id='a'", "<message id='a'/>", false},
	} {
		again := []byte(c.again)
		if got := storage.Repeats([]byte(c.xml), again, "a"); got != c.want || string(again) != c.again {
			t.Errorf("Repeats(%s, %s) = %v", c.xml, again, got)
		}
	}
}

func TestCorrects(t *testing.T) {
	t.Parallel()
	const xml = "<message id='b'><body/><replace xmlns='urn:xmpp:message-correct:0' id='a'/></message>"
	for id, want := range map[string]bool{"a": true, "b": false, "": false} {
		if got := storage.Corrects([]byte(xml), id); got != want {
			t.Errorf("Corrects(%q) = %v", id, got)
		}
	}
}

func TestTombstoneXML(t *testing.T) {
	t.Parallel()
	const element = "<retracted xmlns='urn:xmpp:message-retract:1' id='r'/>"
	for xml, want := range map[string]string{
		"<message/>":                                "<message>" + element + "</message>",
		"<message id='/>'/>":                        "<message id='/&gt;'>" + element + "</message>",
		"<message id='a' to='b'><body/><x/>":        "",
		"<message to='b'><body>x</body></message >": "<message to='b'>" + element + "</message>",
		"<message id='&lt;&amp;&apos;\"' xml:lang='en' xmlns:p='urn:p' p:x='1'><p:y/>text</message>": "<message id='&lt;&amp;&apos;&quot;' xml:lang='en' xmlns:p='urn:p' p:x='1'>" + element + "</message>",
	} {
		if got := string(storage.TombstoneXML([]byte(xml), []byte(element))); got != want {
			t.Errorf("TombstoneXML(%s) = %s, want %s", xml, got, want)
		}
	}
}
