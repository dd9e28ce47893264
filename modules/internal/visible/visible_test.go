package visible

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
)

var (
	juliet = jid.MustParse("juliet@capulet.lit")
	romeo  = jid.MustParse("romeo@montague.lit")
)

// changing is a registry that another goroutine changes while it is read: each
// look finds the next state, and the last one from then on. A state is a list
// of resources and what they say, such as "balcony:away chamber:".
type changing struct {
	modules.Services
	states []string
	sent   []string
}

func (c *changing) Sessions(dst []session.Entry, bare jid.JID) []session.Entry {
	state := c.states[0]
	if len(c.states) > 1 {
		c.states = c.states[1:]
	}
	return append(dst, entries(bare, state)...)
}

func entries(bare jid.JID, state string) (all []session.Entry) {
	for i, f := range strings.Fields(state) {
		resource, status, available := strings.Cut(f, ":")
		e := session.Entry{Ref: session.Ref{Node: 1, ID: uint64(len(bare.String())*10 + i)}, Available: available}
		e.JID, _ = bare.WithResource(resource)
		if available {
			e.Presence = fmt.Appendf(nil, "<presence from='%s'><status>%s</status></presence>", e.JID, status)
		}
		all = append(all, e)
	}
	return all
}

func (c *changing) Send(to session.Ref, xml []byte) bool {
	s := string(xml)
	s = strings.Replace(s, "<presence to='romeo@montague.lit' from='juliet@capulet.lit/", "", 1)
	s = strings.NewReplacer("'><status>", ":", "</status></presence>", "", "' type='unavailable'/>", " gone").Replace(s)
	c.sent = append(c.sent, s)
	return true
}

func TestShow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		states []string
		want   []string
	}{
		"nobody":             {[]string{"balcony chamber"}, nil},
		"some":               {[]string{"balcony:1 chamber hall:2"}, []string{"balcony:1", "hall:2"}},
		"a change":           {[]string{"balcony:1", "balcony:2"}, []string{"balcony:1", "balcony:2"}},
		"two changes":        {[]string{"balcony:1", "balcony:2", "balcony:3"}, []string{"balcony:1", "balcony:2", "balcony:3"}},
		"gone":               {[]string{"balcony:1 hall:1", "hall:1"}, []string{"balcony:1", "hall:1", "balcony gone"}},
		"not available":      {[]string{"balcony:1", "balcony"}, []string{"balcony:1", "balcony gone"}},
		"gone and back":      {[]string{"balcony:1", "balcony", "balcony:2"}, []string{"balcony:1", "balcony gone", "balcony:2"}},
		"came: tells itself": {[]string{"balcony:1", "balcony:1 hall:1"}, []string{"balcony:1"}},
	} {
		c := &changing{states: tt.states}
		Show(t.Context(), c, c, nil, juliet, romeo, entries(romeo, "home:"))
		if diff := cmp.Diff(tt.want, c.sent); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestShowSkipsTheViewerItself(t *testing.T) {
	t.Parallel()
	c := &changing{states: []string{"balcony:1 hall:2"}}
	Show(t.Context(), c, c, nil, juliet, romeo, entries(juliet, "balcony:1"))
	if diff := cmp.Diff([]string{"hall:2"}, c.sent); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHide(t *testing.T) {
	t.Parallel()
	c := &changing{states: []string{"balcony:1 chamber hall:2"}}
	Hide(t.Context(), c, c, nil, juliet, romeo, entries(romeo, "home: work:"))
	if diff := cmp.Diff([]string{"balcony gone", "balcony gone", "hall gone", "hall gone"}, c.sent); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAppendToEscapes(t *testing.T) {
	to, err := romeo.WithResource("it's <me>")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 256)
	presence := []byte("<presence from='a@b/c'/>")
	if got, want := string(AppendTo(buf, presence, to)), "<presence to='romeo@montague.lit/it&apos;s &lt;me&gt;' from='a@b/c'/>"; got != want {
		t.Errorf("got %s", got)
	}
	if n := testing.AllocsPerRun(100, func() { AppendTo(buf, presence, to) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// lists are blocklists; an owner without one cannot be read.
type lists map[string]string

func (l lists) Blocked(_ context.Context, owner, other jid.JID) (bool, error) {
	items, ok := l[owner.String()]
	if !ok {
		return false, errors.New("no list of " + owner.String())
	}
	return slices.Contains(strings.Fields(items), other.String()), nil
}

// Who has blocked somebody neither shows itself nor sees, one session at a time.
func TestBlocked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lists lists
		want  []string
		fails bool
	}{
		"nobody":                {lists{"juliet@capulet.lit": "", "romeo@montague.lit": ""}, []string{"balcony:1", "balcony:1", "hall:2", "hall:2"}, false},
		"owner blocks viewer":   {lists{"juliet@capulet.lit": "romeo@montague.lit/home", "romeo@montague.lit": ""}, []string{"balcony:1", "hall:2"}, false},
		"viewer blocks session": {lists{"juliet@capulet.lit": "", "romeo@montague.lit": "juliet@capulet.lit/hall"}, []string{"balcony:1", "balcony:1"}, false},
		"not known":             {lists{"juliet@capulet.lit": ""}, nil, true},
	} {
		c := &changing{states: []string{"balcony:1 hall:2"}}
		err := Show(t.Context(), c, c, tt.lists, juliet, romeo, entries(romeo, "home: work:"))
		if diff := cmp.Diff(tt.want, c.sent); diff != "" || (err != nil) != tt.fails {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		c.sent = nil
		err = Hide(t.Context(), c, c, tt.lists, juliet, romeo, entries(romeo, "home: work:"))
		if len(c.sent) != len(tt.want) || (err != nil) != tt.fails {
			t.Errorf("%s: hide: %v, %q", name, err, c.sent)
		}
	}
	if apart, err := Apart(t.Context(), lists{}, juliet, juliet); apart || err != nil {
		t.Errorf("the own sessions are apart: %v, %v", apart, err)
	}
}
