package archive

import (
	"context"
	"fmt"
	"io"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules/internal/archived"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// export writes the preferences of an account, if it has set any, and its archive as
// XEP-0227 §4.11 has it.
func (m *Module) export(ctx context.Context, owner jid.JID, w io.Writer) error {
	p, err := m.preferences(ctx, owner)
	if err != nil {
		return err
	}
	xml := make([]byte, 0, 1<<10)
	if p != m.none {
		b := stanza.NewBuilder(xml)
		p.write(b)
		xml = append(b.Bytes(), '\n')
	}
	if _, err := w.Write(append(xml, "<archive xmlns='urn:xmpp:pie:0#mam'>\n"...)); err != nil {
		return err
	}
	var done, of int64
	q := storage.ArchiveQuery{Owner: owner, Limit: step, Size: &of}
	for more := true; more; {
		more = false
		err := m.store.Archive(ctx, q, func(row *storage.Message) error {
			q.After, more = row.Seq, true
			done++
			xml = append(xml[:0], "<result xmlns='"+archived.NS+"' id='"...)
			xml = append(archived.AppendResult(xml, row), '\n')
			_, err := w.Write(xml)
			return err
		})
		if err != nil {
			return fmt.Errorf("export archive: %w", err)
		}
		command.Progress(ctx, done, of)
	}
	_, err = io.WriteString(w, "</archive>\n")
	return err
}
