package node_test

import (
	"crypto/sha1" //nolint:gosec // XEP-0115 §5.1
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

const (
	nsInfo  = "http://jabber.org/protocol/disco#info"
	nsItems = "http://jabber.org/protocol/disco#items"
	nsCaps  = "http://jabber.org/protocol/caps"
)

// golden compares what the server wrote, letter by letter, with a file of
// testdata/disco. The file has a line break between any two tags, which is all
// the difference. XMPPD_TEST_UPDATE=1 writes the files.
func golden(t *testing.T, name, raw string) {
	t.Helper()
	path := filepath.Join("..", "..", "testdata", "disco", name+".xml")
	got := strings.ReplaceAll(raw, "><", ">\n<") + "\n"
	if os.Getenv("XMPPD_TEST_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what is announced; got\n%s\nwant\n%s", path, got, want)
	}
}

// Announced means works: nothing appears in these files before it does what it
// says, and the list of SASL mechanisms never shrinks, because clients remember
// the strongest that they have seen.
func TestAnnouncements(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	s.Account(t, "romeo")

	c := s.Dial(t, xmpptest.TCP)
	c.Open()
	golden(t, "features-tcp", c.Features.Raw)
	c.StartTLS()
	c.Open()
	golden(t, "features-tcp-tls", c.Features.Raw)
	c.Authenticate("romeo", xmpptest.Password)
	golden(t, "features-tcp-login", c.Features.Raw)

	c = s.Dial(t, xmpptest.DirectTLS)
	c.Open()
	golden(t, "features-tcp-tls", c.Features.Raw)

	for _, way := range []xmpptest.Way{xmpptest.WebSocket, xmpptest.SecureWebSocket} {
		w := s.Dial(t, way)
		w.Open()
		golden(t, map[xmpptest.Way]string{xmpptest.WebSocket: "features-websocket", xmpptest.SecureWebSocket: "features-websocket-tls"}[way], w.Features.Raw)
		w.Authenticate("romeo", xmpptest.Password)
		golden(t, "features-websocket-login", w.Features.Raw)
	}

	c.Authenticate("romeo", xmpptest.Password)
	c.Bind("home")
	for _, tt := range []struct{ name, to, ns string }{
		{"domain-info", "localhost", nsInfo},
		{"domain-items", "localhost", nsItems},
		{"account-info", "romeo@localhost", nsInfo},
		{"account-items", "romeo@localhost", nsItems},
	} {
		c.Send("<iq type='get' id='1' to='" + tt.to + "'><query xmlns='" + tt.ns + "'/></iq>")
		golden(t, tt.name, c.Next().Raw)
	}
}

// With everything switched on that an operator can switch on.
func TestAnnouncementsOfAll(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: `
registration: {enabled: true}
modules:
  contact: {abuse: ["mailto:abuse@example.org", "xmpp:abuse@example.org"], admin: ["mailto:root@example.org"]}
`})
	c := s.Dial(t, xmpptest.TCP)
	c.Secure()
	golden(t, "features-tcp-tls-all", c.Features.Raw)
	s.Account(t, "romeo")
	c.Authenticate("romeo", xmpptest.Password)
	c.Bind("home")
	c.Send("<iq type='get' id='1' to='localhost'><query xmlns='" + nsInfo + "'/></iq>")
	golden(t, "domain-info-all", c.Next().Raw)
}

// The checks of the compliance tester that apply so far. Like the tester, the
// client sends no presence.
func TestCompliance(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "modules: {contact: {abuse: ['mailto:abuse@example.org']}}"})
	s.Account(t, "romeo")
	c := s.Dial(t, xmpptest.DirectTLS)
	if h := c.Open(); !strings.HasPrefix(h.Raw, "<?xml") {
		t.Errorf("direct TLS: the stream begins with %q", h.Raw[:21])
	}
	c.Authenticate("romeo", xmpptest.Password)
	c.Bind("caas")
	for space, name := range map[string]string{
		nsCaps: "c", "urn:xmpp:features:rosterver": "ver", "urn:xmpp:features:pre-approval": "sub", "urn:xmpp:stream-limits:0": "limits",
	} {
		if c.Features.Child(space, name) == nil {
			t.Errorf("no stream feature %s", space)
		}
	}
	ask := func(to, node string) *xmpptest.Element {
		if node != "" {
			node = " node='" + node + "'"
		}
		c.Send("<iq type='get' id='1' to='" + to + "'><query xmlns='" + nsInfo + "'" + node + "/></iq>")
		e := c.Next().Child(nsInfo, "query")
		if e == nil {
			t.Fatalf("no answer of %s", to)
		}
		return e
	}
	domain := ask("localhost", "")
	for _, f := range []string{"msgoffline", nsInfo, nsItems, nsCaps, "urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:time", "jabber:iq:last", "jabber:iq:register"} {
		if !hasFeature(domain, f) {
			t.Errorf("domain: no %s", f)
		}
	}
	if !strings.Contains(domain.String(), "var='abuse-addresses'") {
		t.Errorf("no address for abuse:\n%s", domain)
	}
	if e := ask("romeo@localhost", ""); !hasIdentity(e, "account", "registered") {
		t.Errorf("account: %s", e)
	}

	// XEP-0115 §5.1, §6.2: the hash is that of the answer, and a node echoes.
	caps := c.Features.Child(nsCaps, "c")
	if ver := verification(domain); ver != caps.Attr("ver") {
		t.Errorf("caps announce %q, the answer has %q", caps.Attr("ver"), ver)
	}
	node := caps.Attr("node") + "#" + caps.Attr("ver")
	if e := ask("localhost", node); e.Attr("node") != node || verification(e) != caps.Attr("ver") {
		t.Errorf("node %s: %s", node, e)
	}
}

func hasFeature(info *xmpptest.Element, feature string) bool {
	return slices.ContainsFunc(info.Children(), func(e *xmpptest.Element) bool { return e.Name == "feature" && e.Attr("var") == feature })
}

func hasIdentity(info *xmpptest.Element, category, typ string) bool {
	return slices.ContainsFunc(info.Children(), func(e *xmpptest.Element) bool {
		return e.Name == "identity" && e.Attr("category") == category && e.Attr("type") == typ
	})
}

// verification computes the string of XEP-0115 §5.1 from an answer.
func verification(info *xmpptest.Element) string {
	var identities, features, forms []string
	for _, e := range info.Children() {
		switch e.Name {
		case "identity":
			identities = append(identities, strings.Join([]string{e.Attr("category"), e.Attr("type"), e.Attr("xml:lang"), e.Attr("name")}, "/"))
		case "feature":
			features = append(features, e.Attr("var"))
		case "x":
			var formType string
			var fields []string
			for _, f := range e.Children() {
				var values []string
				for _, v := range f.Children() {
					values = append(values, v.Text())
				}
				if slices.Sort(values); f.Attr("var") == "FORM_TYPE" {
					formType = values[0]
				} else {
					fields = append(fields, strings.Join(append([]string{f.Attr("var")}, values...), "<"))
				}
			}
			slices.Sort(fields)
			forms = append(forms, strings.Join(append([]string{formType}, fields...), "<"))
		}
	}
	slices.Sort(identities)
	slices.Sort(features)
	slices.Sort(forms)
	sum := sha1.Sum([]byte(strings.Join(slices.Concat(identities, features, forms), "<") + "<"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
