package router

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// removed is a store in which juliet's account has just gone.
type removed struct{}

func (removed) Join(r *storage.Run) {
	r.Begin()
	for i, w := range r.Writes {
		if w.(*storage.Message).Owner.Local() == "juliet" {
			r.Errs[i] = storage.ErrNotFound
		}
	}
	r.End()
}

// One message of a run whose handler panics, or whose account has gone, takes
// none of the others with it.
func TestRunSurvivesItsMessages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.r.Group = removed{}
	h := modules.NewHost(jid.MustParse("localhost"), f.tables, f.r, modules.Info{Name: "test"}, nil, nil, slog.New(slog.DiscardHandler), f.r.Now)
	h.Message(modules.Received, modules.Archive, func(f *modules.Flight) error {
		f.Row.Flags |= storage.Waiting
		return nil
	})
	h.Message(modules.Received, modules.Copy, func(f *modules.Flight) error {
		if string(f.Stanza.ID()) == "2" {
			panic("oops")
		}
		return nil
	})
	romeo, link := f.bind("romeo@localhost/a", 0)
	b := f.r.Burst()
	for i, to := range []string{"romeo", "romeo", "juliet", "romeo"} {
		st := b.Next()
		xml := fmt.Sprintf("<message to='%s@localhost' id='%d' type='chat'/>", to, i+1)
		if err := st.Parse([]byte(xml), stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		b.Stanza(context.Background(), romeo)
	}
	b.End()
	var got []string
	for _, xml := range strings.SplitAfter(string(link.got), "<message ")[1:] {
		id, _, _ := strings.Cut(xml[strings.Index(xml, "id='")+4:], "'")
		if strings.Contains(xml, "<service-unavailable") {
			id += " refused"
		}
		got = append(got, id)
	}
	if want := "1, 2, 3 refused, 4"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s:\n%s", strings.Join(got, ", "), want, link.got)
	}
}
