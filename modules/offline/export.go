package offline

import (
	"context"
	"fmt"
	"io"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// root is how a stored message begins: its namespace is missing.
const root = "<message"

// export writes the messages that wait and stand in no archive, as XEP-0227 §4.5 has
// them; the element is left out if there are none.
func (m *Module) export(ctx context.Context, owner jid.JID, w io.Writer) error {
	if err := m.write(ctx); err != nil {
		return err
	}
	const begin, end = "<offline-messages>\n", "</offline-messages>\n"
	head := begin
	for after := int64(0); ; {
		rows, err := m.store.PendingMessages(ctx, owner, after, 0, page)
		if err != nil {
			return fmt.Errorf("export messages that wait: %w", err)
		}
		for _, row := range rows {
			after = row.Seq
			if row.Flags.Has(storage.Archived | storage.Tombstone) { // nothing is left of a tombstone; see give
				continue
			}
			xml := append([]byte(head), root+" xmlns='"+stanza.NSClient+"'"...)
			xml = append(append(xml, m.stamped(row, nil)[len(root):]...), '\n')
			head = ""
			if _, err := w.Write(xml); err != nil {
				return err
			}
		}
		if len(rows) < page {
			break
		}
	}
	if head == begin {
		return nil
	}
	_, err := io.WriteString(w, end)
	return err
}
