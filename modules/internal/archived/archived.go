// Package archived answers questions about an archive of messages: the queries of
// XEP-0313 (Message Archive Management) with its extended fields. Who may ask is
// for the module to decide whose archive it is: of an account, or of a room.
package archived

import (
	"context"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Names of XEP-0313. An archive announces all of them but that of the field
// fulltext, which the search announces.
const (
	NS           = "urn:xmpp:mam:2"
	NSExtended   = "urn:xmpp:mam:2#extended"
	NSGroupchat  = "urn:xmpp:mam:2#groupchat-field" // understood; there is nothing to include
	FullText     = "{urn:xmpp:fulltext:0}fulltext"  // XEP-0431
	nsForward    = "urn:xmpp:forward:0"
	stampMillis  = "2006-01-02T15:04:05.000Z" // XEP-0082 §3.2
	maxIDs       = 250                        // that one query may ask for by themselves
	positionsMax = 4                          // other ids in a query
)

// Store is what is read of archives.
type Store interface {
	// Archive calls fn with each row, in the order of the query, until it returns an
	// error, which is returned. The rows are fn's to keep.
	Archive(ctx context.Context, q storage.ArchiveQuery, fn func(*storage.Message) error) error
	// CountArchive counts what a query selects, whatever its limit. It is cheap for
	// a whole archive, and for a bare With.
	CountArchive(ctx context.Context, q storage.ArchiveQuery) (int64, error)
	// ArchiveRows are those of the seqs that the archive has, in order.
	ArchiveRows(ctx context.Context, owner jid.JID, seqs []int64) ([]storage.Message, error)
	// ArchiveEnds are the first and the last row; both with a Seq of 0 if the archive
	// is empty.
	ArchiveEnds(ctx context.Context, owner jid.JID) (first, last storage.ArchiveEnd, err error)
}

// Search turns a text into what finds it in an archive (XEP-0431).
type Search interface {
	// Query returns words as the index of the store knows them, and a function that
	// decides in the end. Without words nothing can be found.
	Query(text string) (words []string, match func(*storage.Message) bool)
}

// Reader answers queries. It is immutable and may be used by any goroutine.
type Reader struct {
	Store  Store
	Search Search // nil: the field for it is unknown

	PageDefault int // rows of a page if the client does not say how many
	PageMax     int // rows of a page at most
	// PageBytes is how many bytes of results the asker gets, one result being always
	// sent; it is asked for each page. 0: there is no room for any.
	PageBytes func(asker *session.Session) int
}

// Query answers an IQ set with the element <query/>, asked of the archive of
// owner: it sends a page of results and writes <fin/>.
func (a *Reader) Query(r *modules.Request, owner jid.JID) error {
	s, err := a.parse(r.Payload, owner)
	if err != nil {
		return err
	}
	if err := a.locate(r.Ctx, &s); err != nil {
		return err
	}
	p := a.page(r, &s)
	if p.limit <= 0 {
		return stanza.ResourceConstraint("read the pages that you have asked for first")
	}
	switch {
	case s.ids != nil:
		err = a.byIDs(r.Ctx, &s, p)
	case s.none:
	default:
		err = a.rows(r.Ctx, &s, p)
	}
	if err == nil {
		err = p.sendHeld()
	}
	if err != nil {
		return err
	}
	count, err := a.count(r.Ctx, &s, p)
	if err != nil {
		return err
	}
	p.fin(r.Reply, count)
	return nil
}

// Metadata writes where an archive begins and ends (XEP-0313 §5).
func (a *Reader) Metadata(ctx context.Context, owner jid.JID, b *stanza.Builder) error {
	first, last, err := a.Store.ArchiveEnds(ctx, owner)
	if err != nil {
		return err
	}
	b.Open("metadata", NS)
	if first.Seq != 0 {
		writeEnd(b, "start", first)
		writeEnd(b, "end", last)
	}
	b.Close()
	return nil
}

func writeEnd(b *stanza.Builder, name string, e storage.ArchiveEnd) {
	b.Open(name, "").Attr("id", string(storage.AppendStanzaID(nil, e.Seq, e.Tag)))
	b.Attr("timestamp", e.Arrived.UTC().Format(stampMillis)).Close()
}
