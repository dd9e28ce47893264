package node_test

import (
	"context"
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// Two nodes over one database are one server: messages, presence and roster
// pushes reach sessions wherever they are.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	for _, store := range xmpptest.Stores() {
		for name, test := range map[string]func(*testing.T, *xmpptest.Server, *xmpptest.Server){
			"messages": messagesBetweenNodes, "presence": presenceBetweenNodes, "roster": rosterBetweenNodes,
			"conflict": conflictBetweenNodes, "offline": offlineBetweenNodes, "removal": removalBetweenNodes,
			"limit": limitBetweenNodes, "node gone": nodeGone,
		} {
			t.Run(string(store)+"/"+name, func(t *testing.T) {
				t.Parallel()
				a, b := xmpptest.Pair(t, store)
				test(t, a, b)
			})
		}
	}
}

func messagesBetweenNodes(t *testing.T, a, b *xmpptest.Server) {
	romeo := a.Login(t, xmpptest.TCP, "romeo@localhost/home")
	juliet := b.Login(t, xmpptest.WebSocket, "juliet@localhost/balcony")
	phone := a.Login(t, xmpptest.TCP, "juliet@localhost/phone")
	for _, c := range []*xmpptest.Client{juliet, phone} {
		c.Send("<presence/>")
		c.Sync()
	}
	juliet.Sync()
	juliet.Forget()
	phone.Forget()

	romeo.Send(`<message to='juliet@localhost/balcony' id='1'><body>full</body></message>
		<message to='juliet@localhost' type='chat' id='2'><body>bare</body></message>
		<message to='juliet@localhost/balcony' type='groupchat' id='3'/>
		<message to='juliet@localhost' type='headline' id='4'/>`)
	romeo.ExpectNothing()
	juliet.Expect(`<message from='romeo@localhost/home' to='juliet@localhost/balcony' id='1'><body>full</body></message>
		<message from='romeo@localhost/home' to='juliet@localhost' type='chat' id='2'><body>bare</body></message>
		<message from='romeo@localhost/home' to='juliet@localhost/balcony' type='groupchat' id='3'/>
		<message from='romeo@localhost/home' to='juliet@localhost' type='headline' id='4'/>`)
	phone.Expect(`<message from='romeo@localhost/home' to='juliet@localhost' type='chat' id='2'><body>bare</body></message>
		<message from='romeo@localhost/home' to='juliet@localhost' type='headline' id='4'/>`)
	juliet.ExpectNothing()
	phone.ExpectNothing()

	// IQs between the own resources, and their answers.
	phone.Send("<iq type='get' id='5' to='juliet@localhost/balcony'><ping xmlns='urn:xmpp:ping'/></iq>")
	juliet.Expect("<iq type='get' id='5' from='juliet@localhost/phone' to='juliet@localhost/balcony'><ping xmlns='urn:xmpp:ping'/></iq>")
	juliet.Send("<iq type='result' id='5' to='juliet@localhost/phone'/>")
	phone.Expect("<iq type='result' id='5' from='juliet@localhost/balcony' to='juliet@localhost/phone'/>")
}

func befriend(t *testing.T, a, b *xmpptest.Server) {
	romeo := a.Login(t, xmpptest.TCP, "romeo@localhost/setup")
	juliet := b.Login(t, xmpptest.TCP, "juliet@localhost/setup")
	for _, step := range []struct {
		c    *xmpptest.Client
		send string
	}{
		{romeo, "<presence to='juliet@localhost' type='subscribe'/>"}, {juliet, "<presence to='romeo@localhost' type='subscribed'/>"},
		{juliet, "<presence to='romeo@localhost' type='subscribe'/>"}, {romeo, "<presence to='juliet@localhost' type='subscribed'/>"},
	} {
		step.c.Send(step.send)
		step.c.Sync()
	}
	romeo.Forget()
	juliet.Forget()
	romeo.Close()
	juliet.Close()
}

func presenceBetweenNodes(t *testing.T, a, b *xmpptest.Server) {
	befriend(t, a, b)
	romeo := a.Login(t, xmpptest.TCP, "romeo@localhost/home")
	juliet := b.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	romeo.Send("<presence/>")
	romeo.Expect("<presence from='romeo@localhost/home' to='romeo@localhost'/>")
	juliet.Send("<presence><show>chat</show></presence>")
	juliet.Expect(`<presence from='juliet@localhost/balcony' to='juliet@localhost'><show>chat</show></presence>
		<presence from='romeo@localhost/home' to='juliet@localhost'/>`)
	romeo.Expect("<presence from='juliet@localhost/balcony' to='romeo@localhost'><show>chat</show></presence>")

	// Directed presence, and the unavailable at its end.
	nurse := b.Login(t, xmpptest.TCP, "nurse@localhost/kitchen")
	romeo.Send("<presence to='nurse@localhost/kitchen'/>")
	nurse.Expect("<presence from='romeo@localhost/home' to='nurse@localhost/kitchen'/>")
	romeo.Drop()
	nurse.Expect("<presence from='romeo@localhost/home' to='nurse@localhost/kitchen' type='unavailable'/>")
	juliet.Expect("<presence from='romeo@localhost/home' to='juliet@localhost' type='unavailable'/>")
	nurse.ExpectNothing()
	juliet.ExpectNothing()
}

// What one node has cached of a roster the other's changes must drop.
func rosterBetweenNodes(t *testing.T, a, b *xmpptest.Server) {
	home := a.Login(t, xmpptest.TCP, "romeo@localhost/home")
	phone := b.Login(t, xmpptest.TCP, "romeo@localhost/phone")
	for _, c := range []*xmpptest.Client{home, phone} {
		c.Send("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>")
		c.Expect("<iq type='result' id='1' to='" + c.JID.String() + "'><query xmlns='jabber:iq:roster' ver='{any}'/></iq>")
	}
	home.Send("<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' name='Juliet'/></query></iq>")
	phone.Expect("<iq type='set' id='{any}' to='romeo@localhost/phone'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='juliet@localhost' name='Juliet' subscription='none'/></query></iq>")
	home.Sync()
	home.Forget()

	juliet := b.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	juliet.Send("<presence/>")
	juliet.Sync()
	juliet.Forget()
	home.Send("<presence/>")
	home.Sync()
	home.Forget()
	home.Send("<presence to='juliet@localhost' type='subscribe'/>")
	home.Sync()
	home.Forget()
	juliet.Expect("<presence from='romeo@localhost' to='juliet@localhost' type='subscribe'/>")
	juliet.Send("<presence to='romeo@localhost' type='subscribed'/>")
	phone.Expect(`<iq type='set' id='{any}' to='romeo@localhost/phone'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='juliet@localhost' name='Juliet' subscription='none' ask='subscribe'/></query></iq>
		<presence from='juliet@localhost' to='romeo@localhost' type='subscribed'/>
		<iq type='set' id='{any}' to='romeo@localhost/phone'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='juliet@localhost' name='Juliet' subscription='to'/></query></iq>`)
	home.Expect(`<presence from='juliet@localhost' to='romeo@localhost' type='subscribed'/>
		<iq type='set' id='{any}' to='romeo@localhost/home'><query xmlns='jabber:iq:roster' ver='{any}'><item jid='juliet@localhost' name='Juliet' subscription='to'/></query></iq>
		<presence from='juliet@localhost/balcony' to='romeo@localhost'/>`)
	phone.ExpectNothing()

	// From now on juliet's presence reaches romeo, on whatever node each of them is.
	again := a.Login(t, xmpptest.TCP, "juliet@localhost/garden")
	again.Send("<presence/>")
	home.Expect("<presence from='juliet@localhost/garden' to='romeo@localhost'/>")
	juliet.Send("<presence to='romeo@localhost' type='unsubscribed'/>")
	juliet.Sync()
	home.Sync()
	home.Forget()
	again.Send("<presence><show>away</show></presence>")
	again.Sync()
	home.ExpectNothing()
}

func conflictBetweenNodes(t *testing.T, a, b *xmpptest.Server) {
	romeo := a.Login(t, xmpptest.TCP, "romeo@localhost/home")
	heir := b.Login(t, xmpptest.TCP, "romeo@localhost/home")
	romeo.ExpectEnd("conflict")
	juliet := a.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	juliet.Send("<message to='romeo@localhost/home' id='1'><body>who are you?</body></message>")
	heir.Expect("<message from='juliet@localhost/balcony' to='romeo@localhost/home' id='1'><body>who are you?</body></message>")
	juliet.ExpectNothing()
}

func offlineBetweenNodes(t *testing.T, a, b *xmpptest.Server) {
	b.Account(t, "juliet")
	romeo := a.Login(t, xmpptest.TCP, "romeo@localhost/home")
	romeo.Send("<message to='juliet@localhost' id='1'><body>one</body></message>")
	romeo.ExpectNothing()
	juliet := b.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	juliet.AnswerPings(false)
	juliet.Send("<presence/>")
	vars := xmpptest.Vars{}
	juliet.ExpectVars(`<message from='romeo@localhost/home' to='juliet@localhost' id='1'><body>one</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='{any}'/></message>
		<iq type='get' from='localhost' to='juliet@localhost/balcony' id='{ping}'><ping xmlns='urn:xmpp:ping'/></iq>
		<presence from='juliet@localhost/balcony' to='juliet@localhost'/>`, vars)

	// Two sessions never get the same batch at once, on two nodes neither.
	phone := a.Login(t, xmpptest.TCP, "juliet@localhost/phone")
	phone.Send("<presence/>")
	phone.Expect(`<presence from='juliet@localhost/phone' to='juliet@localhost'/>
		<presence from='juliet@localhost/balcony' to='juliet@localhost'/>`)
	phone.ExpectNothing()
	juliet.Send("<iq type='result' id='" + vars["ping"] + "' to='localhost'/>")
	juliet.Sync() // proves that the answer has been read
	phone.Drop()
	juliet.Drop()
	juliet = b.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	juliet.Send("<presence/>")
	juliet.Expect("<presence from='juliet@localhost/balcony' to='juliet@localhost'/>")
	juliet.ExpectNothing()
}

func removalBetweenNodes(t *testing.T, a, b *xmpptest.Server) {
	home := a.Login(t, xmpptest.TCP, "romeo@localhost/home")
	phone := b.Login(t, xmpptest.TCP, "romeo@localhost/phone")
	home.Send("<iq type='set' id='1' to='localhost'><query xmlns='jabber:iq:register'><remove/></query></iq>")
	home.Expect("<iq type='result' id='1' from='localhost' to='romeo@localhost/home'/>")
	home.ExpectEnd("not-authorized")
	phone.ExpectEnd("not-authorized")
	juliet := b.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	juliet.Send("<message to='romeo@localhost' id='2'><body>x</body></message>")
	juliet.Expect("<message type='error' from='romeo@localhost' to='juliet@localhost/balcony' id='2'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
}

// What a session of another node did last is not known; the own ones go first.
func limitBetweenNodes(t *testing.T, a, b *xmpptest.Server) {
	var all []*xmpptest.Client
	for i := range 5 {
		all = append(all, a.Login(t, xmpptest.TCP, "romeo@localhost/a"+string(rune('0'+i))))
		all = append(all, b.Login(t, xmpptest.TCP, "romeo@localhost/b"+string(rune('0'+i))))
	}
	a.Login(t, xmpptest.TCP, "romeo@localhost/last")
	ended := 0
	for _, c := range all {
		if c.TrySync() != nil {
			ended++
		}
	}
	if ended != 1 {
		t.Errorf("%d sessions ended, want 1", ended)
	}
}

// The sessions of a node that stops are gone for the others.
func nodeGone(t *testing.T, a, b *xmpptest.Server) {
	befriend(t, a, b)
	romeo := a.Login(t, xmpptest.TCP, "romeo@localhost/home")
	juliet := b.Login(t, xmpptest.TCP, "juliet@localhost/balcony")
	romeo.Send("<presence/>")
	romeo.Sync()
	juliet.Send("<presence/>")
	juliet.Expect(`<presence from='juliet@localhost/balcony' to='juliet@localhost'/>
		<presence from='romeo@localhost/home' to='juliet@localhost'/>`)
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	juliet.Expect("<presence from='romeo@localhost/home' to='juliet@localhost' type='unavailable'/>")
	juliet.Send("<message to='romeo@localhost/home' type='chat' id='1'><body>are you there?</body></message>")
	juliet.ExpectNothing()
	if n, err := b.DB.CountMessages(context.Background(), romeo.JID.Bare()); err != nil || n != 1 {
		t.Errorf("%d messages wait, want 1: %v", n, err)
	}
}
