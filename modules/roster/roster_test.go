package roster_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage/sqlite"
)

func limits() config.Limits { return config.Limits{RosterItems: 20, SubscriptionRequests: 5} }

func list(db *sqlite.DB, r *router.Router) []modules.Module {
	m := roster.New(db, limits)
	r.OnInvalidate(roster.Invalidates, m.Invalidated)
	return []modules.Module{m}
}

// world has two domains and two accounts in each.
func world(t *testing.T) *routertest.World {
	w := routertest.New(t, list, "a.example", "b.example")
	w.Account("romeo@a.example", "juliet@a.example", "nurse@b.example", "tybalt@b.example")
	t.Cleanup(func() {
		if logs := w.Logs.String(); logs != "" {
			t.Errorf("logged:\n%s", logs)
		}
	})
	return w
}

var (
	serverID = regexp.MustCompile(` id='roster[0-9a-z]+'`)
	version  = regexp.MustCompile(` ver='([0-9]+)'`)
)

// check compares what a client got since the last time, apart from the ids of
// the server and roster versions.
func check(t *testing.T, c *routertest.Client, want ...string) {
	t.Helper()
	got := c.Received()
	got = version.ReplaceAllString(serverID.ReplaceAllString(got, ""), "")
	if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(got, "\n"), "\n")); diff != "" && !(len(want) == 0 && got == "") {
		t.Errorf("%s received (-want +got):\n%s", c.JID, diff)
	}
}

// item is a roster push as check sees it.
func item(to *routertest.Client, contact, attrs string, groups ...string) string {
	s := fmt.Sprintf("<iq type='set' to='%s'><query xmlns='jabber:iq:roster'><item jid='%s' %s", to.JID, contact, attrs)
	if len(groups) == 0 {
		return s + "/></query></iq>"
	}
	s += ">"
	for _, g := range groups {
		s += "<group>" + g + "</group>"
	}
	return s + "</item></query></iq>"
}

// interested logs a client in and lets it fetch the roster.
func interested(w *routertest.World, full string) *routertest.Client {
	c := w.Login(full)
	c.Send("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>")
	c.Received()
	return c
}

// available makes a client available without the presence module.
func available(w *routertest.World, c *routertest.Client) {
	w.Registry.SetPresence(c.Session, fmt.Appendf(nil, "<presence from='%s'/>", c.JID), 0)
}

func set(items string) string {
	return "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>" + items + "</query></iq>"
}

const done = "<iq type='result' id='s' to='%s'/>"

func TestRosterGetAndSet(t *testing.T) {
	t.Parallel()
	w := world(t)
	home, phone, idle := interested(w, "romeo@a.example/home"), interested(w, "romeo@a.example/phone"), w.Login("romeo@a.example/idle")
	result := fmt.Sprintf(done, home.JID)

	home.Send(set("<item jid='Nurse@B.example/chamber' name='Nurse &amp; &apos;cook&apos;' subscription='both' ask='subscribe' approved='true'><group>Z</group><group>A</group></item>"))
	attrs := "name='Nurse &amp; &apos;cook&apos;' subscription='none'"
	check(t, home, item(home, "nurse@b.example", attrs, "A", "Z"), result)
	check(t, phone, item(phone, "nurse@b.example", attrs, "A", "Z"))
	check(t, idle)

	// The same once more is pushed too, then the name and the groups go.
	home.Send(set("<item jid='nurse@b.example' name='Nurse'><group>A</group></item>"), set("<item jid='nurse@b.example' name='Nurse'><group>A</group></item>"),
		set("<item jid='nurse@b.example' name=''/>"))
	check(t, phone, item(phone, "nurse@b.example", "name='Nurse' subscription='none'", "A"),
		item(phone, "nurse@b.example", "name='Nurse' subscription='none'", "A"), item(phone, "nurse@b.example", "subscription='none'"))
	home.Received()

	idle.Send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
	check(t, idle, "<iq type='result' id='g' to='romeo@a.example/idle'><query xmlns='jabber:iq:roster'><item jid='nurse@b.example' subscription='none'/></query></iq>")

	idle.Send(set("<item jid='nurse@b.example' subscription='remove'/>"))
	check(t, idle, item(idle, "nurse@b.example", "subscription='remove'"), fmt.Sprintf(done, idle.JID))
	check(t, home, item(home, "nurse@b.example", "subscription='remove'"))
	home.Send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
	check(t, home, "<iq type='result' id='g' to='romeo@a.example/home'><query xmlns='jabber:iq:roster'/></iq>")
}

func TestRosterErrors(t *testing.T) {
	t.Parallel()
	w := world(t)
	c := interested(w, "romeo@a.example/home")
	long := strings.Repeat("x", 1024)
	for name, tt := range map[string]struct{ xml, typ, condition string }{
		"two items":        {set("<item jid='a@x'/><item jid='b@x'/>"), "modify", "bad-request"},
		"no item":          {set(""), "modify", "bad-request"},
		"no jid":           {set("<item name='x'/>"), "modify", "bad-request"},
		"malformed jid":    {set("<item jid='@x'/>"), "modify", "jid-malformed"},
		"duplicate groups": {set("<item jid='a@x'><group>g</group><group>g</group></item>"), "modify", "bad-request"},
		"empty group":      {set("<item jid='a@x'><group/></item>"), "modify", "not-acceptable"},
		"long group":       {set("<item jid='a@x'><group>" + long + "</group></item>"), "modify", "not-acceptable"},
		"long name":        {set("<item jid='a@x' name='" + long + "'/>"), "modify", "not-acceptable"},
		"many groups":      {set("<item jid='a@x'>" + groups(65) + "</item>"), "modify", "not-acceptable"},
		"oneself":          {set("<item jid='romeo@a.example'/>"), "cancel", "not-allowed"},
		"unknown item":     {set("<item jid='a@x' subscription='remove'/>"), "modify", "item-not-found"},
		"get with item":    {"<iq type='get' id='1'><query xmlns='jabber:iq:roster'><item jid='a@x'/></query></iq>", "modify", "bad-request"},
		"another's roster": {"<iq type='set' id='1' to='juliet@a.example'><query xmlns='jabber:iq:roster'><item jid='a@x'/></query></iq>", "auth", "forbidden"},
		"reading another's": {"<iq type='get' id='1' to='nurse@b.example'><query xmlns='jabber:iq:roster'/></iq>",
			"auth", "forbidden"},
	} {
		c.Send(tt.xml)
		got := c.Received()
		if !strings.Contains(got, "<error type='"+tt.typ+"'><"+tt.condition+" ") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: got %s", name, got)
		}
	}
	for i := range 21 {
		c.Send(set(fmt.Sprintf("<item jid='c%d@x'/>", i)))
	}
	if got := c.Received(); strings.Count(got, "type='result'") != 20 || !strings.Contains(got, "<policy-violation ") {
		t.Errorf("a roster of 20 items took %d", strings.Count(got, "type='result'"))
	}
	c.Send("<presence type='subscribe' to='one@more'/>")
	if got := c.Received(); !strings.Contains(got, "<policy-violation ") {
		t.Errorf("subscription with a full roster: %s", got)
	}
}

func groups(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf("<group>%d</group>", i)
	}
	return s
}

func TestVersions(t *testing.T) {
	t.Parallel()
	w := world(t)
	c := interested(w, "romeo@a.example/home")
	for _, name := range []string{"a", "b", "c"} {
		c.Send(set("<item jid='" + name + "@x'/>"))
	}
	var versions []string
	for _, m := range version.FindAllStringSubmatch(c.Received(), -1) {
		versions = append(versions, m[1])
	}
	c.Send(set("<item jid='a@x' name='A'/>"), set("<item jid='b@x' subscription='remove'/>"), set("<item jid='c@x' name='C'/>"), set("<item jid='a@x' name='AA'/>"))
	c.Received()

	get := func(ver string) *routertest.Client {
		c := w.Login("romeo@a.example/other")
		c.Send("<iq type='get' id='g'><query xmlns='jabber:iq:roster' ver='" + ver + "'/></iq>")
		return c
	}
	full := "<iq type='result' id='g' to='romeo@a.example/other'><query xmlns='jabber:iq:roster'><item jid='a@x' name='AA' subscription='none'/><item jid='c@x' name='C' subscription='none'/></query></iq>"
	empty := "<iq type='result' id='g' to='romeo@a.example/other'/>"
	for _, unknown := range []string{"", "0", "ver7", "-1", "99999999999999999999", "18446744073709551615"} {
		check(t, get(unknown), full)
	}
	// What was current at the third change: one push for each item, in order.
	o := get(versions[2])
	check(t, o, empty, item(o, "b@x", "subscription='remove'"), item(o, "c@x", "name='C' subscription='none'"), item(o, "a@x", "name='AA' subscription='none'"))
	o.Send(set("<item jid='d@x'/>"))
	ver := version.FindStringSubmatch(o.Received())[1]
	o = get(ver)
	check(t, o, empty)
	// It is interested all the same, and every push has its own version.
	c.Received()
	c.Send(set("<item jid='e@x'/>"), set("<item jid='f@x'/>"))
	got := version.FindAllString(o.Received(), -1)
	if len(got) != 2 || got[0] == got[1] {
		t.Errorf("versions of the pushes: %q", got)
	}
	// More pushes than contacts: the whole roster is shorter.
	for i := range 9 {
		c.Send(set(fmt.Sprintf("<item jid='g%d@x'/>", i)), set(fmt.Sprintf("<item jid='g%d@x' subscription='remove'/>", i)))
	}
	o = get(ver)
	if got := o.Received(); !strings.Contains(got, "<item jid='a@x'") {
		t.Errorf("got %s", got)
	}
}

// The whole of chapter 3 between two accounts, on one domain and across two.
func TestMutualSubscription(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"juliet@a.example", "nurse@b.example"} {
		t.Run(other, func(t *testing.T) {
			t.Parallel()
			w := world(t)
			romeo, juliet := interested(w, "romeo@a.example/home"), interested(w, other+"/balcony")
			available(w, romeo)
			available(w, juliet)

			romeo.Send("<presence id='1' type='subscribe' to='" + other + "/balcony'><status>Hi</status></presence>")
			check(t, romeo, item(romeo, other, "subscription='none' ask='subscribe'"))
			check(t, juliet, "<presence from='romeo@a.example' id='1' type='subscribe' to='"+other+"'><status>Hi</status></presence>")

			// Once more: routed, but not delivered again (§A.3.1).
			romeo.Send("<presence id='2' type='subscribe' to='" + other + "'/>")
			check(t, romeo)
			check(t, juliet)

			juliet.Send("<presence id='3' type='subscribed' to='romeo@a.example'/>")
			check(t, juliet, item(juliet, "romeo@a.example", "subscription='from'"))
			check(t, romeo, "<presence from='"+other+"' id='3' type='subscribed' to='romeo@a.example'/>",
				item(romeo, other, "subscription='to'"), "<presence to='romeo@a.example' from='"+other+"/balcony'/>")

			juliet.Send("<presence id='4' type='subscribe' to='romeo@a.example'/>")
			romeo.Send("<presence id='5' type='subscribed' to='" + other + "'/>")
			check(t, juliet, item(juliet, "romeo@a.example", "subscription='from' ask='subscribe'"),
				"<presence from='romeo@a.example' id='5' type='subscribed' to='"+other+"'/>",
				item(juliet, "romeo@a.example", "subscription='both'"), "<presence to='"+other+"' from='romeo@a.example/home'/>")
			check(t, romeo, "<presence from='"+other+"' id='4' type='subscribe' to='romeo@a.example'/>", item(romeo, other, "subscription='both'"))

			// A subscriber who asks again is answered by the server (§3.1.3 rule 2).
			romeo.Send("<presence id='6' type='subscribe' to='" + other + "'/>")
			check(t, romeo)
			check(t, juliet)

			// Juliet cancels: first she goes, then he hears why (§3.2.2).
			juliet.Send("<presence id='7' type='unsubscribed' to='romeo@a.example'/>")
			check(t, juliet, item(juliet, "romeo@a.example", "subscription='to'"))
			check(t, romeo, "<presence to='romeo@a.example' from='"+other+"/balcony' type='unavailable'/>",
				"<presence from='"+other+"' id='7' type='unsubscribed' to='romeo@a.example'/>", item(romeo, other, "subscription='from'"))

			// Juliet unsubscribes (§3.3).
			juliet.Send("<presence id='8' type='unsubscribe' to='romeo@a.example'/>")
			check(t, romeo, "<presence from='"+other+"' id='8' type='unsubscribe' to='romeo@a.example'/>", item(romeo, other, "subscription='none'"))
			check(t, juliet, item(juliet, "romeo@a.example", "subscription='none'"), "<presence to='"+other+"' from='romeo@a.example/home' type='unavailable'/>")
		})
	}
}

func TestRemovalEndsSubscriptions(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, juliet := interested(w, "romeo@a.example/home"), interested(w, "juliet@a.example/balcony")
	available(w, romeo)
	available(w, juliet)
	befriend(romeo, juliet)

	romeo.Send(set("<item jid='juliet@a.example' subscription='remove'/>"))
	check(t, romeo, item(romeo, "juliet@a.example", "subscription='remove'"),
		"<presence to='romeo@a.example' from='juliet@a.example/balcony' type='unavailable'/>", fmt.Sprintf(done, romeo.JID))
	check(t, juliet, "<presence to='juliet@a.example' from='romeo@a.example/home' type='unavailable'/>",
		"<presence from='romeo@a.example' to='juliet@a.example' type='unsubscribe'/>", item(juliet, "romeo@a.example", "subscription='to'"),
		"<presence from='romeo@a.example' to='juliet@a.example' type='unsubscribed'/>", item(juliet, "romeo@a.example", "subscription='none'"))

	// A request that was only pending goes too, and one that waits is denied.
	romeo.Send("<presence type='subscribe' to='juliet@a.example'/>")
	juliet.Send("<presence type='subscribe' to='romeo@a.example'/>")
	romeo.Received()
	juliet.Received()
	romeo.Send(set("<item jid='juliet@a.example' subscription='remove'/>"))
	check(t, juliet, "<presence from='romeo@a.example' to='juliet@a.example' type='unsubscribe'/>",
		"<presence from='romeo@a.example' to='juliet@a.example' type='unsubscribed'/>", item(juliet, "romeo@a.example", "subscription='none'"))
	if got, _ := w.Call("get_roster", "juliet", "a.example"); got != "romeo@a.example\t\tnone\tnone\t" {
		t.Errorf("juliet's roster: %q", got)
	}
	if got, _ := w.Call("get_roster", "romeo", "a.example"); got != "" {
		t.Errorf("romeo's roster: %q", got)
	}
}

// befriend makes a mutual subscription and forgets what it caused.
func befriend(a, b *routertest.Client) {
	a.Send("<presence type='subscribe' to='" + b.JID.Bare().String() + "'/>")
	b.Send("<presence type='subscribed' to='"+a.JID.Bare().String()+"'/>", "<presence type='subscribe' to='"+a.JID.Bare().String()+"'/>")
	a.Send("<presence type='subscribed' to='" + b.JID.Bare().String() + "'/>")
	a.Received()
	b.Received()
}

func TestPreApprovalAcrossAccounts(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, nurse := interested(w, "romeo@a.example/home"), interested(w, "nurse@b.example/kitchen")
	available(w, romeo)
	available(w, nurse)

	nurse.Send("<presence type='subscribed' to='romeo@a.example'/>")
	check(t, nurse, item(nurse, "romeo@a.example", "subscription='none' approved='true'"))
	check(t, romeo)
	// Withdrawn and given again; he hears of neither.
	nurse.Send("<presence type='unsubscribed' to='romeo@a.example'/>", "<presence type='subscribed' to='romeo@a.example'/>")
	check(t, nurse, item(nurse, "romeo@a.example", "subscription='none'"), item(nurse, "romeo@a.example", "subscription='none' approved='true'"))
	check(t, romeo)

	romeo.Send("<presence id='q' type='subscribe' to='nurse@b.example'/>")
	check(t, nurse, item(nurse, "romeo@a.example", "subscription='from' approved='true'"))
	check(t, romeo, item(romeo, "nurse@b.example", "subscription='none' ask='subscribe'"),
		"<presence from='nurse@b.example' to='romeo@a.example' type='subscribed' id='q'/>", item(romeo, "nurse@b.example", "subscription='to'"),
		"<presence to='romeo@a.example' from='nurse@b.example/kitchen'/>")
}

func TestRequestsAreKept(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "a.example", "b.example")
	w.Account("romeo@a.example", "juliet@a.example")
	m := roster.New(w.DB, limits)
	juliet := jid.MustParse("juliet@a.example")
	requests := func() []string {
		t.Helper()
		m.Invalidated(juliet)
		all, err := m.Requests(t.Context(), juliet)
		if err != nil {
			t.Fatal(err)
		}
		var s []string
		for _, r := range all {
			s = append(s, string(r))
		}
		return s
	}
	romeo := interested(w, "romeo@a.example/home")
	romeo.Send("<presence id='1' type='subscribe' to='juliet@a.example'><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick><x xmlns='custom:y'><z/></x></presence>",
		"<presence id='2' type='subscribe' to='juliet@a.example'/>")
	want := []string{"<presence from='romeo@a.example' id='1' type='subscribe' to='juliet@a.example'><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick><x xmlns='custom:y'><z/></x></presence>"}
	if diff := cmp.Diff(want, requests()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Nobody sees it in the roster.
	j := w.Login("juliet@a.example/balcony")
	j.Send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
	check(t, j, "<iq type='result' id='g' to='juliet@a.example/balcony'><query xmlns='jabber:iq:roster'/></iq>")
	if got, _ := w.Call("get_roster", "juliet", "a.example"); got != "romeo@a.example\t\tnone\tin\t" {
		t.Errorf("get_roster: %q", got)
	}
	// It is denied.
	j.Send("<presence id='3' type='unsubscribed' to='romeo@a.example'/>")
	check(t, j)
	if got := requests(); got != nil {
		t.Errorf("still there: %q", got)
	}
	romeo.Received()

	// Withdrawn by the sender.
	romeo.Send("<presence type='subscribe' to='juliet@a.example'/>")
	if len(requests()) != 1 {
		t.Error("no new request")
	}
	romeo.Send("<presence type='unsubscribe' to='juliet@a.example'/>")
	if got := requests(); got != nil {
		t.Errorf("still there: %q", got)
	}
	romeo.Received()

	// Too large, and too many.
	romeo.Send("<presence type='subscribe' to='juliet@a.example'><status>" + strings.Repeat("x", 8192) + "</status></presence>")
	if got := romeo.Received(); !strings.Contains(got, "<policy-violation ") {
		t.Errorf("got %s", got)
	}
	for i := range 6 {
		name := fmt.Sprintf("u%d@b.example", i)
		w.Account(name)
		c := interested(w, name+"/x")
		c.Send("<presence type='subscribe' to='juliet@a.example'/>")
		if got := c.Received(); strings.Contains(got, "<resource-constraint ") != (i == 5) {
			t.Errorf("request %d: %s", i, got)
		}
	}
}

func TestIgnoredSubscriptions(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, juliet := interested(w, "romeo@a.example/home"), interested(w, "juliet@a.example/balcony")
	available(w, romeo)
	available(w, juliet)

	for _, typ := range []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed"} {
		romeo.Send("<presence type='" + typ + "' to='romeo@a.example'/>")
		check(t, romeo)
		romeo.Send("<presence type='" + typ + "'/>")
		if got := romeo.Received(); !strings.Contains(got, "<bad-request ") {
			t.Errorf("%s to nobody: %s", typ, got)
		}
	}
	// No such account: silence (RFC 6121 §8.5.1).
	romeo.Send("<presence type='subscribe' to='nobody@a.example'/>")
	check(t, romeo, item(romeo, "nobody@a.example", "subscription='none' ask='subscribe'"))
	// What nobody asked for has no effect.
	romeo.Send("<presence type='unsubscribe' to='juliet@a.example'/>", "<presence type='unsubscribed' to='juliet@a.example'/>")
	check(t, romeo)
	check(t, juliet)
	if got, _ := w.Call("get_roster", "juliet", "a.example"); got != "" {
		t.Errorf("juliet's roster: %q", got)
	}
	// Another server.
	romeo.Send("<presence type='subscribe' to='paris@elsewhere.example'/>")
	if got := romeo.Received(); !strings.Contains(got, "<remote-server-not-found ") {
		t.Errorf("got %s", got)
	}
}

// Subscribe goes to available resources, the rest to interested ones.
func TestWhoGetsSubscriptionStanzas(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo := interested(w, "romeo@a.example/home")
	both, onlyInterested, onlyAvailable, neither := interested(w, "juliet@a.example/both"), interested(w, "juliet@a.example/interested"),
		w.Login("juliet@a.example/available"), w.Login("juliet@a.example/neither")
	available(w, both)
	available(w, onlyAvailable)

	romeo.Send("<presence type='subscribe' to='juliet@a.example'/>")
	request := "<presence from='romeo@a.example' type='subscribe' to='juliet@a.example'/>"
	check(t, both, request)
	check(t, onlyAvailable, request)
	check(t, onlyInterested)
	romeo.Send("<presence type='unsubscribe' to='juliet@a.example'/>")
	end := "<presence from='romeo@a.example' type='unsubscribe' to='juliet@a.example'/>"
	check(t, both, end)
	check(t, onlyAvailable)
	check(t, onlyInterested, end)
	check(t, neither)
}

func TestUserRemoved(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, juliet := interested(w, "romeo@a.example/home"), interested(w, "juliet@a.example/balcony")
	available(w, romeo)
	available(w, juliet)
	befriend(romeo, juliet)
	w.Remove("romeo@a.example")
	check(t, juliet, "<presence to='juliet@a.example' from='romeo@a.example/home' type='unavailable'/>",
		"<presence from='romeo@a.example' to='juliet@a.example' type='unsubscribe'/>", item(juliet, "romeo@a.example", "subscription='to'"),
		"<presence from='romeo@a.example' to='juliet@a.example' type='unsubscribed'/>", item(juliet, "romeo@a.example", "subscription='none'"))
}

func TestCommands(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo := interested(w, "romeo@a.example/home")
	run := func(want string, words ...string) {
		t.Helper()
		if got, err := w.Call(words...); got != want || err != nil {
			t.Errorf("%v: %q, %v; want %q", words, got, err, want)
		}
	}
	run("0", "get_roster_count", "romeo", "a.example")
	run("", "get_roster", "romeo", "a.example")
	run("", "add_rosteritem", "romeo", "a.example", "Nurse", "b.example", "The Nurse", "Servants,All", "both")
	check(t, romeo, item(romeo, "nurse@b.example", "name='The Nurse' subscription='both'", "All", "Servants"))
	run("nurse@b.example\tThe Nurse\tboth\tnone\tAll,Servants", "get_roster", "romeo", "a.example")
	run("1", "get_roster_count", "romeo", "a.example")
	run("", "get_roster", "nurse", "b.example")
	run("", "add_rosteritem", "romeo", "a.example", "nurse", "b.example", "", "", "none")
	check(t, romeo, item(romeo, "nurse@b.example", "subscription='none'"))
	run("", "delete_rosteritem", "romeo", "a.example", "nurse", "b.example")
	check(t, romeo, item(romeo, "nurse@b.example", "subscription='remove'"))
	for _, bad := range [][]string{
		{"delete_rosteritem", "romeo", "a.example", "nurse", "b.example"},
		{"get_roster", "nobody", "a.example"},
		{"get_roster_count", "romeo", "elsewhere.example"},
		{"add_rosteritem", "romeo", "a.example", "nurse", "b.example", "", "", "all"},
		{"add_rosteritem", "romeo", "a.example", "romeo", "a.example", "", "", "both"},
	} {
		if got, err := w.Call(bad...); err == nil {
			t.Errorf("%v: %q", bad, got)
		}
	}
}

func TestStreamFeatures(t *testing.T) {
	t.Parallel()
	w := world(t)
	b := stanza.NewBuilder(nil)
	w.Tables("a.example").StreamFeatures(modules.Authenticated, b)
	if got, want := string(b.Bytes()), "<ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/>"; got != want {
		t.Errorf("got %s", got)
	}
}

// Two nodes: pushes and subscription stanzas reach the sessions of both, and
// the contacts that one node remembers follow what the other changes.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	var mods []*roster.Module
	w := routertest.Pair(t, func(db *sqlite.DB, r *router.Router) []modules.Module {
		l := list(db, r)
		mods = append(mods, l[0].(*roster.Module))
		return l
	}, "a.example")
	w.Account("romeo@a.example", "juliet@a.example")
	romeo := interested(w, "romeo@a.example/home")
	far := w.Other.Login("romeo@a.example/far")
	far.Send("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>")
	juliet := w.Other.Login("juliet@a.example/balcony")
	w.Other.Registry.SetPresence(juliet.Session, []byte("<presence from='juliet@a.example/balcony'/>"), 0)
	available(w, romeo)
	far.Received()

	owner, contact := jid.MustParse("juliet@a.example"), jid.MustParse("romeo@a.example")
	for _, m := range mods {
		if sub, err := m.Subscription(t.Context(), owner, contact); sub != 0 || err != nil {
			t.Fatalf("%v, %v", sub, err)
		}
	}
	romeo.Send("<presence id='1' type='subscribe' to='juliet@a.example'/>")
	check(t, far, item(far, "juliet@a.example", "subscription='none' ask='subscribe'"))
	check(t, juliet, "<presence from='romeo@a.example' id='1' type='subscribe' to='juliet@a.example'/>")
	juliet.Send("<presence id='2' type='subscribed' to='romeo@a.example'/>")
	check(t, romeo, item(romeo, "juliet@a.example", "subscription='none' ask='subscribe'"),
		"<presence from='juliet@a.example' id='2' type='subscribed' to='romeo@a.example'/>",
		item(romeo, "juliet@a.example", "subscription='to'"), "<presence to='romeo@a.example' from='juliet@a.example/balcony'/>")
	check(t, far, "<presence from='juliet@a.example' id='2' type='subscribed' to='romeo@a.example'/>", item(far, "juliet@a.example", "subscription='to'"))
	for i, m := range mods {
		if sub, _ := m.Subscription(t.Context(), owner, contact); sub.String() != "from" {
			t.Errorf("node %d remembers %v", i+1, sub)
		}
	}
	if logs := w.Logs.String(); logs != "" {
		t.Errorf("logged:\n%s", logs)
	}
}

// Resources that change one roster at the same time: every client sees pushes
// in the order of their versions, and what it saw last is what is stored.
func TestPushesInOrder(t *testing.T) {
	t.Parallel()
	w := world(t)
	watcher := interested(w, "romeo@a.example/watcher")
	juliet := interested(w, "juliet@a.example/balcony")
	var wg sync.WaitGroup
	for i := range 4 {
		c := w.Login(fmt.Sprintf("romeo@a.example/%d", i))
		wg.Go(func() {
			for n := range 10 {
				c.Send(set(fmt.Sprintf("<item jid='juliet@a.example' name='%d-%d'/>", i, n)))
				if i == 0 {
					c.Send("<presence type='subscribe' to='juliet@a.example'/>")
				}
				if i == 1 {
					c.Send("<presence type='unsubscribe' to='juliet@a.example'/>")
				}
			}
		})
	}
	wg.Go(func() {
		for range 10 {
			juliet.Send("<presence type='subscribed' to='romeo@a.example'/>", "<presence type='unsubscribed' to='romeo@a.example'/>")
		}
	})
	wg.Wait()
	got := watcher.Received()
	last := 0
	for _, m := range version.FindAllStringSubmatch(got, -1) {
		var v int
		fmt.Sscan(m[1], &v)
		if v <= last {
			t.Fatalf("version %d after %d", v, last)
		}
		last = v
	}
	pushes := regexp.MustCompile(`<item jid='juliet@a.example' name='([^']*)' subscription='([a-z]*)'`).FindAllStringSubmatch(got, -1)
	final := pushes[len(pushes)-1]
	stored, _ := w.Call("get_roster", "romeo", "a.example")
	if !strings.HasPrefix(stored, fmt.Sprintf("juliet@a.example\t%s\t%s\t", final[1], final[2])) {
		t.Errorf("the last push showed %q, stored is %q", final, stored)
	}
}
