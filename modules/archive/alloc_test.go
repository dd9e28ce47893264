package archive

import (
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// What archiving a message costs on both sides, beside the transaction: its id is
// copied once, and each side gets its stamp.
func TestAllocations(t *testing.T) {
	w := moduletest.New(t)
	m := New(nil, nil, nil, nil, func() config.Limits { return config.Limits{} })
	w.Init(m)
	st := w.Parse(`<message type='chat' id='d7e2f5'><body>hi</body><origin-id xmlns='urn:xmpp:sid:0' id='d7e2f5'/>` +
		`<markable xmlns='urn:xmpp:chat-markers:0'/></message>`)
	raw := append([]byte(nil), st.Raw()...)
	romeo, juliet := jid.MustParse("romeo@capulet.lit/orchard"), jid.MustParse("juliet@capulet.lit")
	var rows [2]storage.Message
	f := &modules.Flight{Ctx: t.Context(), Stanza: st, From: romeo, To: juliet}
	pass := func(s modules.Side, st modules.Stage, owner jid.JID) {
		f.Owner = owner
		if _, err := w.Tables.Pass(stanza.Message, s, st, f); err != nil {
			t.Fatal(err)
		}
	}
	n := testing.AllocsPerRun(100, func() {
		st.Reset()
		if st.Parse(raw, stanza.Limits{}) != nil {
			t.Fatal("not parsed")
		}
		rows = [2]storage.Message{}
		f.Rows = [2]*storage.Message{}
		for s, owner := range []jid.JID{romeo.Bare(), juliet} {
			f.Row = &rows[s]
			pass(modules.Side(s), modules.Amend, owner)
			pass(modules.Side(s), modules.Archive, owner)
			f.Rows[s] = f.Row
			f.Row.Owner, f.Row.Seq = owner, 1
		}
		for s, owner := range []jid.JID{romeo.Bare(), juliet} {
			pass(modules.Side(s), modules.Stamp, owner)
		}
	})
	for s, row := range rows {
		if row.Flags != storage.Archived|storage.Unique || row.ID != "d7e2f5" {
			t.Errorf("side %d: %+v", s, row)
		}
	}
	if n > 3 {
		t.Errorf("%v allocations", n)
	}
}
