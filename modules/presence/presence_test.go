package presence_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/blocking"
	"github.com/xmppd/xmppd/modules/presence"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage/sqlite"
)

func limits() config.Limits {
	return config.Limits{RosterItems: 2000, SubscriptionRequests: 100, DirectedPresences: 3}
}

func list(db *sqlite.DB, r *router.Router) []modules.Module {
	contacts := roster.New(db, limits)
	r.OnInvalidate(roster.Invalidates, contacts.Invalidated)
	blocks := blocking.New(db, contacts)
	r.OnInvalidate("blocking", blocks.Invalidated)
	return []modules.Module{contacts, blocks, presence.New(contacts, blocks, limits)}
}

// world has romeo, juliet and nurse, who see each other, and tybalt, whom
// nobody lets see anything. The nurse lives on another domain.
func world(t *testing.T) *routertest.World {
	w := routertest.New(t, list, "a.example", "b.example")
	befriend(t, w)
	t.Cleanup(func() {
		if logs := w.Logs.String(); logs != "" {
			t.Errorf("logged:\n%s", logs)
		}
	})
	return w
}

func befriend(t *testing.T, w *routertest.World) {
	t.Helper()
	w.Account("romeo@a.example", "juliet@a.example", "nurse@b.example", "tybalt@b.example")
	friends := [][2]string{{"romeo", "a.example"}, {"juliet", "a.example"}, {"nurse", "b.example"}}
	for _, a := range friends {
		for _, b := range friends {
			if a != b {
				add(t, w, a, b, "both")
			}
		}
	}
}

func add(t testing.TB, w *routertest.World, a, b [2]string, subs string) {
	t.Helper()
	if _, err := w.Call("add_rosteritem", a[0], a[1], b[0], b[1], "", "", subs); err != nil {
		t.Fatal(err)
	}
}

// check compares what a client got since the last time.
func check(t *testing.T, c *routertest.Client, want ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(c.Received(), "\n"), "\n")
	if len(want) == 0 {
		want = []string{""}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s received (-want +got):\n%s", c.JID, diff)
	}
}

// online logs a client in and makes it available.
func online(w *routertest.World, full string) *routertest.Client {
	c := w.Login(full)
	c.Send("<presence/>")
	return c
}

func quiet(cs ...*routertest.Client) {
	for _, c := range cs {
		c.Received()
	}
}

func TestInitialPresence(t *testing.T) {
	t.Parallel()
	w := world(t)
	tybalt := online(w, "tybalt@b.example/x")
	romeo := w.Login("romeo@a.example/home")
	romeo.Send("<presence id='r'><show>away</show><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>")
	own := "<presence to='%s' from='romeo@a.example/home' id='r'><show>away</show><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>"
	check(t, romeo, fmt.Sprintf(own, "romeo@a.example"))

	connected := w.Login("juliet@a.example/connected")
	juliet := w.Login("juliet@a.example/balcony")
	juliet.Send("<presence/>")
	check(t, juliet, "<presence to='juliet@a.example' from='juliet@a.example/balcony'/>", fmt.Sprintf(own, "juliet@a.example"))
	check(t, romeo, "<presence to='romeo@a.example' from='juliet@a.example/balcony'/>")

	// A second resource sees the first, and the contacts; the first sees it.
	phone := w.Login("romeo@a.example/phone")
	phone.Send("<presence><priority>-1</priority></presence>")
	fromPhone := "<presence to='%s' from='romeo@a.example/phone'><priority>-1</priority></presence>"
	check(t, phone, fmt.Sprintf(fromPhone, "romeo@a.example"), fmt.Sprintf(own, "romeo@a.example"),
		"<presence to='romeo@a.example' from='juliet@a.example/balcony'/>")
	check(t, romeo, fmt.Sprintf(fromPhone, "romeo@a.example"))
	check(t, juliet, fmt.Sprintf(fromPhone, "juliet@a.example"))

	nurse := online(w, "nurse@b.example/kitchen")
	check(t, nurse, "<presence to='nurse@b.example' from='nurse@b.example/kitchen'/>",
		"<presence to='nurse@b.example' from='juliet@a.example/balcony'/>", fmt.Sprintf(own, "nurse@b.example"), fmt.Sprintf(fromPhone, "nurse@b.example"))

	// Subsequent presence asks nobody.
	quiet(romeo, juliet, phone)
	nurse.Send("<presence><status>in the kitchen</status></presence>")
	update := "<presence to='%s' from='nurse@b.example/kitchen'><status>in the kitchen</status></presence>"
	check(t, nurse, fmt.Sprintf(update, "nurse@b.example"))
	for _, c := range []*routertest.Client{romeo, phone} {
		check(t, c, fmt.Sprintf(update, "romeo@a.example"))
	}
	check(t, juliet, fmt.Sprintf(update, "juliet@a.example"))
	check(t, connected)
	check(t, tybalt, "<presence to='tybalt@b.example' from='tybalt@b.example/x'/>")
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, phone, juliet := online(w, "romeo@a.example/home"), online(w, "romeo@a.example/phone"), online(w, "juliet@a.example/balcony")
	quiet(romeo, phone, juliet)
	romeo.Send("<presence type='unavailable'><status>gone</status></presence>")
	for _, c := range []*routertest.Client{romeo, phone, juliet} {
		check(t, c, fmt.Sprintf("<presence to='%s' from='romeo@a.example/home' type='unavailable'><status>gone</status></presence>", c.JID.Bare()))
	}
	// Not twice.
	romeo.Send("<presence type='unavailable'/>")
	romeo.Close()
	check(t, juliet)
	// A connection that is lost.
	phone.Close()
	check(t, juliet, "<presence to='juliet@a.example' from='romeo@a.example/phone' type='unavailable'/>")
	// One that never was available.
	w.Login("romeo@a.example/mute").Close()
	check(t, juliet)
	// Back again: initial presence.
	back := online(w, "romeo@a.example/home")
	check(t, back, "<presence to='romeo@a.example' from='romeo@a.example/home'/>", "<presence to='romeo@a.example' from='juliet@a.example/balcony'/>")
	check(t, juliet, "<presence to='juliet@a.example' from='romeo@a.example/home'/>")
	back.Send("<presence type='unavailable'/>", "<presence/>")
	check(t, back, "<presence to='romeo@a.example' from='romeo@a.example/home' type='unavailable'/>",
		"<presence to='romeo@a.example' from='romeo@a.example/home'/>", "<presence to='romeo@a.example' from='juliet@a.example/balcony'/>")
}

// A session that took over the address of one that ends speaks for it.
func TestReplacedSession(t *testing.T) {
	t.Parallel()
	w := world(t)
	juliet := online(w, "juliet@a.example/balcony")
	old := online(w, "romeo@a.example/home")
	next := online(w, "romeo@a.example/home")
	quiet(juliet, next)
	old.Close()
	check(t, juliet)
	check(t, next)
}

func TestPriority(t *testing.T) {
	t.Parallel()
	w := world(t)
	c := w.Login("romeo@a.example/home")
	for _, bad := range []string{"128", "-129", "1.5", "high", "", "1 2"} {
		c.Send("<presence><priority>" + bad + "</priority></presence>")
		if got := c.Received(); !strings.Contains(got, "<bad-request ") || c.Entry().Available {
			t.Errorf("priority %q: %s", bad, got)
		}
	}
	for text, want := range map[string]int8{"127": 127, "-128": -128, "+5": 5, " 7\n": 7, "0": 0} {
		c.Send("<presence><priority>" + text + "</priority></presence>")
		if e := c.Entry(); e.Priority != want || !e.Available {
			t.Errorf("priority %q: %d", text, e.Priority)
		}
	}
	c.Send("<presence/>")
	if e := c.Entry(); e.Priority != 0 || string(e.Presence) != "<presence from='romeo@a.example/home'/>" {
		t.Errorf("without priority: %d, %s", e.Priority, e.Presence)
	}
}

// recorder is a module that notes the Available events.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) Info() modules.Info { return modules.Info{Name: "recorder"} }

func (r *recorder) Init(h *modules.Host) error {
	h.OnSession(modules.Available, func(f *modules.Flight) {
		r.mu.Lock()
		defer r.mu.Unlock()
		e := f.Session.Entry()
		r.events = append(r.events, fmt.Sprintf("%s %s %v %v", f.Owner, f.Session.JID.Resource(), e.TakesBareMessages(), f.Stanza == nil))
	})
	return nil
}

// The event comes before bare messages reach the session, and only then.
func TestAvailableEvent(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	w := routertest.New(t, func(db *sqlite.DB, rt *router.Router) []modules.Module { return append(list(db, rt), r) }, "a.example")
	w.Account("romeo@a.example")
	c := w.Login("romeo@a.example/home")
	const event = "romeo@a.example home false true"
	for _, step := range []struct {
		xml  string
		want int
	}{
		{"<presence><priority>-1</priority></presence>", 0},
		{"<presence/>", 1},
		{"<presence><show>away</show></presence>", 1},
		{"<presence><priority>-1</priority></presence>", 1},
		{"<presence><priority>3</priority></presence>", 2},
		{"<presence type='unavailable'/>", 2},
		{"<presence/>", 3},
		{"<presence><priority>x</priority></presence>", 3},
	} {
		c.Send(step.xml)
		if len(r.events) != step.want {
			t.Errorf("after %s: %d events", step.xml, len(r.events))
		}
	}
	for _, e := range r.events {
		if e != event {
			t.Errorf("got %q", e)
		}
	}
}

func TestRequestsAreRepeated(t *testing.T) {
	t.Parallel()
	w := world(t)
	tybalt := w.Login("tybalt@b.example/x")
	tybalt.Send("<presence type='subscribe' to='juliet@a.example'><status>fight</status></presence>")
	request := "<presence from='tybalt@b.example' type='subscribe' to='juliet@a.example'><status>fight</status></presence>"
	juliet := online(w, "juliet@a.example/balcony")
	check(t, juliet, "<presence to='juliet@a.example' from='juliet@a.example/balcony'/>", request)
	juliet.Send("<presence><show>away</show></presence>")
	check(t, juliet, "<presence to='juliet@a.example' from='juliet@a.example/balcony'><show>away</show></presence>")
	phone := w.Login("juliet@a.example/phone")
	phone.Send("<presence><priority>-5</priority></presence>")
	if got := phone.Received(); !strings.Contains(got, request) {
		t.Errorf("the second resource got %s", got)
	}
	phone.Send("<presence type='unsubscribed' to='tybalt@b.example'/>")
	tablet := online(w, "juliet@a.example/tablet")
	if got := tablet.Received(); strings.Contains(got, "tybalt") {
		t.Errorf("after the answer: %s", got)
	}
}

// What a contact's own roster does not allow is not shown, whatever the other
// one says.
func TestOneSidedSubscription(t *testing.T) {
	t.Parallel()
	w := world(t)
	add(t, w, [2]string{"tybalt", "b.example"}, [2]string{"juliet", "a.example"}, "both")
	juliet := online(w, "juliet@a.example/balcony")
	tybalt := online(w, "tybalt@b.example/x")
	check(t, tybalt, "<presence to='tybalt@b.example' from='tybalt@b.example/x'/>")
	juliet.Send("<presence/>")
	check(t, tybalt)
}

func TestDirectedPresence(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, tybalt, other := online(w, "romeo@a.example/home"), online(w, "tybalt@b.example/x"), online(w, "tybalt@b.example/y")
	juliet := online(w, "juliet@a.example/balcony")
	quiet(romeo, tybalt, other, juliet)

	romeo.Send("<presence to='tybalt@b.example/x' id='d'><status>here</status></presence>")
	check(t, tybalt, "<presence from='romeo@a.example/home' to='tybalt@b.example/x' id='d'><status>here</status></presence>")
	check(t, other)
	// Broadcasts are not for him, the end is.
	romeo.Send("<presence><show>dnd</show></presence>", "<presence to='juliet@a.example/balcony'/>")
	check(t, tybalt)
	quiet(juliet)
	romeo.Send("<presence type='unavailable'><status>bye</status></presence>")
	check(t, tybalt, "<presence to='tybalt@b.example/x' from='romeo@a.example/home' type='unavailable'><status>bye</status></presence>")
	check(t, juliet, "<presence to='juliet@a.example' from='romeo@a.example/home' type='unavailable'><status>bye</status></presence>")

	// Without initial presence, to a bare address, then a lost connection.
	romeo.Send("<presence to='tybalt@b.example'/>")
	check(t, tybalt, "<presence from='romeo@a.example/home' to='tybalt@b.example'/>")
	check(t, other, "<presence from='romeo@a.example/home' to='tybalt@b.example'/>")
	romeo.Close()
	check(t, other, "<presence to='tybalt@b.example' from='romeo@a.example/home' type='unavailable'/>")
	check(t, juliet)
	quiet(tybalt)

	// Taken back, by either side.
	romeo = online(w, "romeo@a.example/home")
	romeo.Send("<presence to='tybalt@b.example/x'/>", "<presence to='tybalt@b.example/x' type='unavailable'/>", "<presence to='tybalt@b.example/y'/>")
	other.Send("<presence to='romeo@a.example/home' type='unavailable'/>")
	quiet(tybalt, other)
	romeo.Close()
	check(t, tybalt)
	check(t, other)

	// Three addresses at a time.
	romeo = online(w, "romeo@a.example/home")
	quiet(romeo)
	for i := range 4 {
		romeo.Send(fmt.Sprintf("<presence to='nobody%d@b.example'/>", i))
		if got := romeo.Received(); strings.Contains(got, "<policy-violation ") != (i == 3) {
			t.Errorf("address %d: %s", i, got)
		}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, tybalt := online(w, "romeo@a.example/home"), online(w, "tybalt@b.example/x")
	juliet := w.Login("juliet@a.example/balcony")
	juliet.Send("<presence id='pres1'><show>dnd</show></presence>")
	quiet(romeo, tybalt, juliet)
	probe := func(c *routertest.Client, to string) { c.Send("<presence type='probe' id='p' to='" + to + "'/>") }

	probe(romeo, "juliet@a.example")
	check(t, romeo, "<presence to='romeo@a.example/home' from='juliet@a.example/balcony' id='pres1'><show>dnd</show></presence>")
	probe(romeo, "juliet@a.example/balcony") // only the fact (§4.3.2)
	check(t, romeo, "<presence from='juliet@a.example/balcony' to='romeo@a.example/home'/>")
	probe(romeo, "juliet@a.example/none")
	check(t, romeo, "<presence from='juliet@a.example/none' to='romeo@a.example/home' type='unavailable' id='p'/>")
	probe(romeo, "nurse@b.example")
	check(t, romeo, "<presence from='nurse@b.example' to='romeo@a.example/home' type='unavailable' id='p'/>")
	probe(romeo, "romeo@a.example")
	check(t, romeo, "<presence to='romeo@a.example/home' from='romeo@a.example/home'/>")
	check(t, juliet)

	// Who may not see her learns as much as from an account that does not exist:
	// nothing, because he has no subscription to lose.
	for _, to := range []string{"juliet@a.example", "juliet@a.example/balcony", "nobody@a.example"} {
		probe(tybalt, to)
		check(t, tybalt)
	}
	juliet.Send("<presence to='tybalt@b.example/x'/>")
	quiet(tybalt)
	probe(tybalt, "juliet@a.example/balcony") // §4.6.6
	check(t, tybalt, "<presence from='juliet@a.example/balcony' to='tybalt@b.example/x'/>")

	// A subscription that only one side has is ended by the answer (§4.3.2 rule 1).
	add(t, w, [2]string{"tybalt", "b.example"}, [2]string{"romeo", "a.example"}, "to")
	tybalt.Send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
	quiet(tybalt)
	probe(tybalt, "romeo@a.example")
	if got := tybalt.Received(); !strings.HasPrefix(got, "<presence from='romeo@a.example' to='tybalt@b.example' type='unsubscribed' id='p'/>\n<iq ") {
		t.Errorf("got %s", got)
	}
}

func TestPrivacyOfIQs(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo, tybalt, juliet := online(w, "romeo@a.example/home"), online(w, "tybalt@b.example/x"), online(w, "juliet@a.example/balcony")
	phone := w.Login("juliet@a.example/phone")
	quiet(romeo, tybalt, juliet)
	ask := func(c *routertest.Client, to string, reaches *routertest.Client) {
		t.Helper()
		c.Send("<iq type='get' id='q' to='" + to + "'><ping xmlns='urn:xmpp:ping'/></iq>")
		if reaches != nil {
			check(t, reaches, fmt.Sprintf("<iq from='%s' type='get' id='q' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", c.JID, to))
			check(t, c)
			return
		}
		if got := c.Received(); !strings.Contains(got, "<error type='cancel'><service-unavailable ") {
			t.Errorf("%s asked %s: %s", c.JID, to, got)
		}
		check(t, juliet)
	}
	ask(romeo, "juliet@a.example/balcony", juliet)
	ask(phone, "juliet@a.example/balcony", juliet)
	ask(tybalt, "juliet@a.example/balcony", nil)
	ask(tybalt, "juliet@a.example/none", nil)
	add(t, w, [2]string{"juliet", "a.example"}, [2]string{"tybalt", "b.example"}, "to")
	ask(tybalt, "juliet@a.example/balcony", nil) // her seeing him is not enough
	juliet.Send("<presence to='tybalt@b.example/x'/>")
	quiet(tybalt)
	ask(tybalt, "juliet@a.example/balcony", juliet)
	ask(tybalt, "juliet@a.example/phone", nil)
	juliet.Send("<presence to='tybalt@b.example/x' type='unavailable'/>")
	quiet(tybalt)
	ask(tybalt, "juliet@a.example/balcony", nil)
	// An answer goes through, and so does a message.
	tybalt.Send("<iq type='result' id='q' to='juliet@a.example/balcony'/>", "<message to='juliet@a.example/balcony'><body>x</body></message>")
	check(t, juliet, "<iq from='tybalt@b.example/x' type='result' id='q' to='juliet@a.example/balcony'/>",
		"<message from='tybalt@b.example/x' to='juliet@a.example/balcony'><body>x</body></message>")
}

// Nothing that arrives may leave a client with an older presence of a contact
// than the last one, however logins and changes interleave.
func TestLastPresenceWins(t *testing.T) {
	t.Parallel()
	w := world(t)
	juliet := online(w, "juliet@a.example/balcony")
	const rounds = 50
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			juliet.Send(fmt.Sprintf("<presence><status>%d</status></presence>", i))
		}
		juliet.Send("<presence type='unavailable'/>")
	})
	watchers := make([]*routertest.Client, rounds)
	wg.Go(func() {
		for i := range watchers {
			watchers[i] = online(w, fmt.Sprintf("romeo@a.example/%d", i))
		}
	})
	wg.Wait()
	for _, c := range watchers {
		last := ""
		for line := range strings.Lines(c.Received()) {
			if strings.Contains(line, "from='juliet@a.example/balcony'") {
				last = line
			}
		}
		if last != "" && !strings.Contains(last, "unavailable") {
			t.Errorf("%s believes %s", c.JID, last)
		}
	}
}

func TestTwoNodes(t *testing.T) {
	t.Parallel()
	w := routertest.Pair(t, list, "a.example", "b.example")
	befriend(t, w)
	romeo := online(w, "romeo@a.example/home")
	juliet := w.Other.Login("juliet@a.example/balcony")
	juliet.Send("<presence id='j'/>")
	check(t, juliet, "<presence to='juliet@a.example' from='juliet@a.example/balcony' id='j'/>", "<presence to='juliet@a.example' from='romeo@a.example/home'/>")
	check(t, romeo, "<presence to='romeo@a.example' from='romeo@a.example/home'/>", "<presence to='romeo@a.example' from='juliet@a.example/balcony' id='j'/>")
	romeo.Send("<presence><show>away</show></presence>")
	check(t, juliet, "<presence to='juliet@a.example' from='romeo@a.example/home'><show>away</show></presence>")
	quiet(romeo)
	juliet.Close()
	check(t, romeo, "<presence to='romeo@a.example' from='juliet@a.example/balcony' type='unavailable'/>")
}

// A database that does not answer: nobody becomes available by halves.
func TestRosterUnavailable(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "a.example")
	w.Account("romeo@a.example")
	c := w.Login("romeo@a.example/home")
	w.DB.Close()
	c.Send("<presence/>")
	if got := c.Received(); !strings.Contains(got, "<internal-server-error ") || c.Entry().Available {
		t.Errorf("got %s", got)
	}
	if n := strings.Count(w.Logs.String(), "level=ERROR"); n != 1 {
		t.Errorf("logged %d times: %s", n, w.Logs.String())
	}
}

// crowd has one account with n contacts, each with one available session.
func crowd(t testing.TB, n int) (*routertest.World, *routertest.Client, []*routertest.Client) {
	w := routertest.New(t, list, "a.example")
	w.Account("romeo@a.example")
	contacts := make([]*routertest.Client, n)
	for i := range contacts {
		name := fmt.Sprintf("c%d", i)
		w.Account(name + "@a.example")
		add(t, w, [2]string{"romeo", "a.example"}, [2]string{name, "a.example"}, "both")
		add(t, w, [2]string{name, "a.example"}, [2]string{"romeo", "a.example"}, "both")
		contacts[i] = online(w, name+"@a.example/phone")
	}
	return w, online(w, "romeo@a.example/home"), contacts
}

const update = "<presence id='x'><show>away</show><status>In a meeting until noon</status><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://gajim.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>"

// nowhere counts what is sent to sessions and drops it.
type nowhere struct {
	modules.Runner
	n int
}

func (r *nowhere) Send(session.Ref, []byte) bool { r.n++; return true }

// A broadcast allocates for itself, not for each delivery.
func TestBroadcastAllocations(t *testing.T) {
	allocations := func(contacts int) float64 {
		w, romeo, _ := crowd(t, contacts)
		var st stanza.Stanza
		if err := st.Parse([]byte(update), stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		st.SetAttr(modules.Sent, "from", romeo.JID.String())
		run := &nowhere{}
		f := &modules.Flight{Ctx: t.Context(), Stanza: &st, From: romeo.JID, Owner: romeo.JID.Bare(), Session: romeo.Session, Run: run}
		tables := w.Tables("a.example")
		n := testing.AllocsPerRun(20, func() {
			run.n = 0
			if _, err := tables.Pass(stanza.Presence, modules.Sent, modules.Amend, f); !errors.Is(err, modules.Stop) || run.n != contacts+1 {
				t.Fatalf("%v, %d deliveries", err, run.n)
			}
		})
		return n
	}
	few, many := allocations(5), allocations(105)
	if perDelivery := (many - few) / 100; perDelivery > 0.05 {
		t.Errorf("%v allocations per delivery (%v and %v)", perDelivery, few, many)
	}
}

func BenchmarkBroadcast(b *testing.B) {
	const contacts = 500
	_, romeo, cs := crowd(b, contacts)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		romeo.Send(update)
		if i++; i%50 == 0 {
			b.StopTimer()
			quiet(slices.Concat(cs, []*routertest.Client{romeo})...)
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/contacts, "ns/delivery")
}
