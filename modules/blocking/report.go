package blocking

import (
	"strings"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	nsStanzaID = "urn:xmpp:sid:0"

	maxReason = 255  // bytes of the URI
	maxBy     = 3071 // bytes of an address (RFC 7622 §3.1)
	maxID     = 1023 // bytes of a stanza-id
	day       = 24 * time.Hour
)

// report reads what an item of a block says about the blocked (XEP-0377). It
// reports false if there is no report, or none that could be understood: that
// must not keep the address from being blocked.
func (d *domain) report(r *modules.Request, item stanza.Elem, reported jid.JID) (storage.Report, bool) {
	e := item.Child(nsReport, "report")
	reason, _ := e.Attr("reason")
	if reason == "" || len(reason) > maxReason {
		return storage.Report{}, false
	}
	report := storage.Report{
		Reporter: r.Owner, Reported: reported, Reason: reason, Created: r.Arrived,
		ToOrigin:   e.Child(nsReport, "report-origin").OK(),
		ThirdParty: e.Child(nsReport, "third-party").OK(),
	}
	room := d.opts.ReportTextBytes
	for c := range e.Children() {
		switch {
		case c.Is(nsReport, "text"):
			lang, _ := c.Attr("xml:lang")
			text := cutText(strings.TrimSpace(c.Text()), room-len(lang))
			if text != "" {
				report.Texts = append(report.Texts, storage.ReportText{Lang: lang, Text: text})
				room -= len(lang) + len(text)
			}
		case c.Is(nsStanzaID, "stanza-id"):
			by, _ := c.Attr("by")
			id, _ := c.Attr("id")
			if id != "" && len(id) <= maxID && len(by) <= maxBy && len(report.Messages) < d.opts.ReportMessages {
				report.Messages = append(report.Messages, storage.StanzaID{By: by, ID: id})
			}
		}
	}
	return report, true
}

// cutText is the beginning of a text, at most that many bytes long.
func cutText(text string, most int) string {
	if len(text) <= max(most, 0) {
		return text
	}
	return strings.ToValidUTF8(text[:max(most, 0)], "")
}
