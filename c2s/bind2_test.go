package c2s

import (
	"reflect"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/jid"
)

const uuid = "d4565fa7-4d72-4749-b3d3-740edbf87770"

func TestResourceOfClient(t *testing.T) {
	t.Parallel()
	romeo, juliet := jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
	resourceOf := func(user jid.JID, tag, agent string) string {
		t.Helper()
		full, err := resource(user, tag, agent)
		if err != nil || full.Bare() != user || strings.Contains(full.Resource(), agent) && agent != "" {
			t.Fatalf("%q, %q: %s, %v", tag, agent, full, err)
		}
		return full.Resource()
	}
	tagged := resourceOf(romeo, "Gajim", uuid)
	if !strings.HasPrefix(tagged, "Gajim/") || tagged != resourceOf(romeo, "Gajim", uuid) {
		t.Errorf("not stable, or without the tag: %s", tagged)
	}
	id := strings.TrimPrefix(tagged, "Gajim/")
	for _, other := range []string{
		resourceOf(juliet, "Gajim", uuid), resourceOf(romeo, "Dino", uuid), resourceOf(romeo, "", uuid),
		resourceOf(romeo, "Gajim", "e"+uuid[1:]), resourceOf(romeo, "Gajim", ""), resourceOf(romeo, "Gajim", ""),
	} {
		if strings.HasSuffix(other, id) {
			t.Errorf("%s has the identifier of %s", other, tagged)
		}
	}
	if one, two := resourceOf(romeo, "x", ""), resourceOf(romeo, "x", ""); one == two {
		t.Error("two clients without an identifier have the same resource")
	}
	for _, tag := range []string{"", strings.Repeat("x", maxTag+1), "\u0007", "a\u0000b", strings.Repeat("\u00a0", 3)} {
		if r := resourceOf(romeo, tag, uuid); len(r) != 16 && !strings.HasPrefix(r, strings.Repeat(" ", 3)+"/") {
			t.Errorf("tag %q: %q", tag, r)
		}
	}
	if r := resourceOf(romeo, "☕ <&'>/", uuid); !strings.HasPrefix(r, "☕ <&'>//") {
		t.Errorf("resource %q", r)
	}
}

func TestWishes(t *testing.T) {
	t.Parallel()
	const open, end = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>", "</authenticate>"
	for inner, want := range map[string]wishes{
		"": {},
		"<user-agent id='" + uuid + "'><software>A &amp; B</software><device>phone</device></user-agent>":            {agent: auth.Agent{ID: uuid, Software: "A & B", Device: "phone"}},
		"<user-agent id='" + strings.ToUpper(uuid) + "'/>":                                                           {agent: auth.Agent{ID: uuid}},
		"<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>":                                       {token: "HT-SHA-256-NONE"},
		"<fast xmlns='urn:xmpp:fast:0'/><user-agent id='" + uuid + "'/>":                                             {agent: auth.Agent{ID: uuid}, use: &auth.TokenUse{Agent: uuid, Count: -1}},
		"<fast xmlns='urn:xmpp:fast:0' count='123' invalidate='true'/>":                                              {use: &auth.TokenUse{Count: 123, Invalidate: true}},
		"<fast xmlns='urn:xmpp:fast:0' count='0' invalidate='0'/>":                                                   {use: &auth.TokenUse{}},
		"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'> a </upgrade><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>b</upgrade>": {upgrades: []string{"a", "b"}},
		"<config-version xmlns='urn:xmpp:iap:0' value='x'/>":                                                         {version: "x"},
		"<fast xmlns='urn:other'/><user-agent xmlns='urn:other' id='x'/>":                                            {},
	} {
		w, f := parseWishes(parse(t, open+inner+end))
		if f != nil {
			t.Errorf("%s: %v", inner, f)
			continue
		}
		w.st = nil
		if !reflect.DeepEqual(*w, want) {
			t.Errorf("%s: %+v, want %+v", inner, w, want)
		}
	}
	for _, inner := range []string{
		"<user-agent id=''/>", "<user-agent id='x'/>", "<user-agent id='" + uuid + "0'/>",
		"<user-agent id='" + strings.Replace(uuid, "-", "0", 1) + "'/>", "<user-agent id='g" + uuid[1:] + "'/>",
		"<fast xmlns='urn:xmpp:fast:0' count='-1'/>", "<fast xmlns='urn:xmpp:fast:0' count='x'/>", "<fast xmlns='urn:xmpp:fast:0' count='2147483648'/>",
		"<fast xmlns='urn:xmpp:fast:0' invalidate='yes'/>",
	} {
		if w, f := parseWishes(parse(t, open+inner+end)); f == nil || f.Condition != "malformed-request" {
			t.Errorf("%s: %+v, %v", inner, w, f)
		}
	}
}

// What the client has asked for is needed when its element has been read over.
func TestWishesAreKept(t *testing.T) {
	t.Parallel()
	raw := []byte("<authenticate xmlns='urn:xmpp:sasl:2'><bind xmlns='urn:xmpp:bind:0'><tag>Gajim</tag></bind><resume xmlns='urn:xmpp:sm:3' previd='x' h='1'/></authenticate>")
	st := parse(t, string(raw))
	w, f := parseWishes(st)
	if f != nil {
		t.Fatal(f)
	}
	for i := range st.Raw() {
		st.Raw()[i] = '!'
	}
	st.Reset()
	previd, _ := w.resume.Attr("previd")
	if tag := w.bind.Child(nsBind2, "tag").Text(); tag != "Gajim" || previd != "x" {
		t.Errorf("tag %q, previd %q", tag, previd)
	}
}
