package inbox_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/routertest"
)

var (
	occupants = regexp.MustCompile(`jid='juliet@localhost/([^']*)'`)
	ends      = regexp.MustCompile(`<first>([^<]*)</first><last>([^<]*)</last>`)
)

// page asks for a page and returns its conversations' resources, and the ids of the
// first and the last.
func page(c *routertest.Client, set string) (resources []string, first, last string) {
	c.Received()
	c.Send("<iq type='get' id='q'><inbox xmlns='urn:xmpp:inbox:1'><set xmlns='http://jabber.org/protocol/rsm'>" + set + "</set></inbox></iq>")
	xml := c.Received()
	for _, m := range occupants.FindAllStringSubmatch(xml, -1) {
		resources = append(resources, m[1])
	}
	if m := ends.FindStringSubmatch(xml); m != nil {
		first, last = m[1], m[2]
	}
	return resources, first, last
}

// A page is bounded in conversations, whatever the client asks for.
func TestPageSize(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo := login(w.Node, "romeo@localhost/home")
	for i := range 260 {
		romeo.Send(chat(fmt.Sprintf("juliet@localhost/%03d", i), "1", "<body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/>"))
	}
	got, _, _ := page(romeo, "")
	if len(got) != 100 || got[0] != "259" || got[99] != "160" {
		t.Errorf("the first page holds %v", got)
	}
	got, _, last := page(romeo, "<max>100000</max>")
	if len(got) != 250 || got[249] != "010" {
		t.Errorf("a large page holds %v", got)
	}
	if got, _, _ = page(romeo, "<after>"+last+"</after>"); strings.Join(got, " ") != "009 008 007 006 005 004 003 002 001 000" {
		t.Errorf("the last page holds %v", got)
	}
	if got, _, _ = page(romeo, "<max>0</max>"); len(got) != 0 {
		t.Errorf("an empty page holds %v", got)
	}
}

// A page is bounded in bytes, but holds at least one conversation.
func TestPageBytes(t *testing.T) {
	t.Parallel()
	w := world(t)
	romeo := login(w.Node, "romeo@localhost/home")
	for i := range 5 {
		romeo.Send(chat(fmt.Sprintf("juliet@localhost/%d", i), "1",
			"<body>"+strings.Repeat("x", 100<<10)+"</body><x xmlns='http://jabber.org/protocol/muc#user'/>"))
	}
	var pages []string
	for after := ""; ; {
		got, _, last := page(romeo, after)
		if len(got) == 0 {
			break
		}
		pages = append(pages, strings.Join(got, " "))
		after = "<after>" + last + "</after>"
	}
	if got := strings.Join(pages, ", "); got != "4 3, 2 1, 0" {
		t.Errorf("pages %s", got)
	}
	pages = nil
	for before := "<before/>"; ; {
		got, first, _ := page(romeo, before)
		if len(got) == 0 {
			break
		}
		pages = append(pages, strings.Join(got, " "))
		before = "<before>" + first + "</before>"
	}
	if got := strings.Join(pages, ", "); got != "1 0, 3 2, 4" {
		t.Errorf("pages from the end %s", got)
	}
}
