package roster

import (
	"context"
	"fmt"
	"io"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// root is how a stored request begins: its namespace is missing.
const root = "<presence"

// export writes the roster as its owner sees it, and the requests that have not been
// answered (XEP-0227 §4.4, §4.9).
func (d *domain) export(ctx context.Context, owner jid.JID, w io.Writer) error {
	items, err := d.items(ctx, owner)
	if err != nil {
		return err
	}
	b := stanza.NewBuilder(nil)
	write := func(xml string) {
		if err == nil {
			_, err = io.WriteString(w, xml)
		}
	}
	write("<query xmlns='" + ns + "'>\n")
	for i := range items {
		if items[i].Listed {
			b.Reset()
			appendItem(b, &items[i])
			write(string(b.Bytes()) + "\n")
		}
	}
	write("</query>\n")
	for i := range items {
		if request := items[i].PendingIn; len(request) > len(root) {
			write(root + " xmlns='" + stanza.NSClient + "'" + string(request[len(root):]) + "\n")
		}
	}
	if err != nil {
		return fmt.Errorf("export roster: %w", err)
	}
	return nil
}
