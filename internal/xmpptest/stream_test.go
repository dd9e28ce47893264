package xmpptest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// How long a session waits for its client is the client's wish, up to what the
// server allows, which also says where to come back (XEP-0198 §3).
func TestEnabled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ config, attrs, want string }{
		{"", "", "<enabled xmlns='urn:xmpp:sm:3'/>"},
		{"", "resume='false'", "<enabled xmlns='urn:xmpp:sm:3'/>"},
		{"", "resume='true'", "<enabled xmlns='urn:xmpp:sm:3' id='{any}' resume='true' max='600'/>"},
		{"", "resume='1'", "<enabled xmlns='urn:xmpp:sm:3' id='{any}' resume='true' max='600'/>"},
		{"", "resume='1' max='60'", "<enabled xmlns='urn:xmpp:sm:3' id='{any}' resume='true' max='60'/>"},
		{"", "resume='1' max='99999999999999999999'", "<enabled xmlns='urn:xmpp:sm:3' id='{any}' resume='true' max='600'/>"},
		{"", "resume='1' max='soon'", "<enabled xmlns='urn:xmpp:sm:3' id='{any}' resume='true' max='600'/>"},
		{
			"streams: {resume_timeout: 2m, location: 'xmpp.example:5222'}", "resume='true' max='600'",
			"<enabled xmlns='urn:xmpp:sm:3' id='{any}' resume='true' max='120' location='xmpp.example:5222'/>",
		},
		{"streams: {resume_timeout: 0s}", "resume='true'", "<enabled xmlns='urn:xmpp:sm:3'/>"},
	} {
		t.Run(tt.config+tt.attrs, func(t *testing.T) {
			t.Parallel()
			c := Start(t, Options{Config: tt.config}).Login(t, WebSocket, "romeo@localhost/home")
			c.Send("<enable xmlns='" + nsSM + "' " + tt.attrs + "/>")
			c.Expect(tt.want)
		})
	}
}

// The id of a stream is a secret: nobody can guess one from another.
func TestStreamIDs(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	seen := make(map[string]bool)
	for _, resource := range []string{"a", "b", "c"} {
		c := s.Login(t, TCP, "romeo@localhost/"+resource)
		c.EnableSM(true)
		if id := c.StreamID(); len(id) < 20 || len(id) > 4000 || seen[id] {
			t.Errorf("id %q", id)
		}
		seen[c.StreamID()] = true
	}
}

// A session that waits for its client may hold so much; then it ends, and all of
// it is kept for the account (XEP-0198 §4).
func TestQueueOverLimit(t *testing.T) {
	t.Parallel()
	for _, store := range Stores() {
		t.Run(string(store), func(t *testing.T) {
			t.Parallel()
			s := Start(t, Options{Store: store, Config: "limits: {unacked_bytes: 64KiB}"})
			romeo, juliet := s.Login(t, TCP, "romeo@localhost/home"), s.Login(t, TCP, "juliet@localhost/phone")
			juliet.EnableSM(true)
			juliet.Send("<presence/>")
			juliet.Sync()
			juliet.DropDetached()
			const n = 20
			for i := range n {
				romeo.Send(fmt.Sprintf("<message to='juliet@localhost/phone' type='chat' id='%d'><body>%s</body></message>", i, strings.Repeat("x", 8000)))
			}
			romeo.ExpectNothing()
			juliet.Gone()
			next := s.Login(t, WebSocket, "juliet@localhost/balcony")
			next.Send("<presence/>")
			seen := make(map[string]bool)
			for range n {
				e := next.Next()
				if id := e.Attr("id"); seen[id] || e.Name != "message" || e.Child("urn:xmpp:delay", "delay") == nil {
					t.Fatalf("after %d messages came %.300s", len(seen), e.Raw)
				}
				seen[e.Attr("id")] = true
			}
			next.Sync()
			for e := next.Waiting(); e != nil; e = next.Waiting() {
				if next.Next(); e.Name == "message" {
					t.Fatalf("after all messages came %.300s", e.Raw)
				}
			}
			romeo.ExpectNothing()
		})
	}
}

// Stream management belongs behind the login; before it neither element has any
// effect (XEP-0198 §3, §5).
func TestManagementBeforeLogin(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	for _, xml := range []string{"<enable xmlns='" + nsSM + "'/>", "<resume xmlns='" + nsSM + "' previd='x' h='0'/>", "<r xmlns='" + nsSM + "'/>"} {
		t.Run(xml, func(t *testing.T) {
			t.Parallel()
			c := s.Dial(t, TCP)
			c.Secure()
			c.Send(xml)
			e, err := c.read()
			refused := err == nil && e.Find(nsStanzas, "unexpected-request") != nil && e.Name == "failed"
			ended := err == nil && e.Space == nsStream && e.Name == "error"
			if !refused && !ended {
				t.Errorf("answered by %v\n%s", err, e)
			}
		})
	}
}

// When many connections resume one stream at a time the last one keeps it, and
// each of the others is told (XEP-0198 §5).
func TestResumedByMany(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	romeo, juliet := s.Login(t, TCP, "romeo@localhost/home"), s.Login(t, TCP, "juliet@localhost/phone")
	juliet.EnableSM(true)
	heirs := make([]*Client, 8)
	for i := range heirs {
		heirs[i] = s.Dial(t, []Way{TCP, WebSocket}[i%2])
		heirs[i].Secure()
		heirs[i].Authenticate("juliet", Password)
	}
	var all sync.WaitGroup
	for _, c := range heirs {
		all.Go(func() {
			if err := c.send(juliet.resume()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	romeo.Sync()
	conflict := func(e *Element) bool { return e.Find("urn:ietf:params:xml:ns:xmpp-streams", "conflict") != nil }
	for _, c := range heirs { // one that has lost the stream at once may not see that it had it
		if e := c.Next(); (e.Space != nsSM || e.Name != "resumed") && !conflict(e) {
			t.Fatalf("not resumed:\n%s", e)
		}
	}
	last := 0
	for _, c := range heirs {
		if err := c.TrySync(); err != nil {
			if e := c.Waiting(); e != nil && !conflict(e) {
				t.Errorf("ended with\n%s", e)
			}
			continue
		}
		last++
		romeo.Send("<message to='" + juliet.JID.String() + "' id='1'/>")
		c.Expect("<message from='romeo@localhost/home' to='juliet@localhost/phone' id='1'/>")
	}
	if last != 1 {
		t.Errorf("%d connections have the session", last)
	}
	if got := juliet.Ended(); got != "conflict" {
		t.Errorf("the first one ended with %q", got)
	}
}
