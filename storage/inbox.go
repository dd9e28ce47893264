package storage

import "github.com/xmppd/xmppd/jid"

// InboxQuery selects chats of an inbox (XEP-0430): those of which the archive
// holds anything, in the order of InboxEntry.At, the newest first.
type InboxQuery struct {
	Owner  jid.JID // bare
	Unread bool    // only chats with unread messages
	Below  int64   // a seq: chats that stand there are older; 0: open
	Above  int64   // a seq: chats that stand there are newer; 0: open
	// Messages asks for the messages that stand in the inbox.
	Messages bool

	Limit    int  // chats; at least 1
	Backward bool // the oldest first
}

// InboxEntry is a chat as it stands in an inbox.
type InboxEntry struct {
	Chat   jid.JID
	Unread int64 // messages above the read position
	Last   RowID // the latest row of the archive
	// At is the row that gives the chat its place: the message that stands in the
	// inbox, else the latest row. No two chats have the same one.
	At RowID
	// Message is the one that stands in the inbox; nil: there is none, or it was not
	// asked for.
	Message *Message
}

// RowID names a row of an owner's log.
type RowID struct{ Seq, Tag int64 }

// StanzaID is the public id of the row (XEP-0359).
func (r RowID) StanzaID() string { return string(AppendStanzaID(nil, r.Seq, r.Tag)) }

// InboxTotals is what all chats of an inbox come to.
type InboxTotals struct {
	Chats       int64 // of which the archive holds anything
	UnreadChats int64 // of these, with unread messages
	Unread      int64 // messages, of all chats
}

// InboxFlags are the flags of a row that the inbox depends on.
const InboxFlags = Shown | Unread | ReadsChat

// InboxRebuild is how far an inbox has been made anew. Begin with the zero value.
type InboxRebuild struct {
	Row   int64 // rows up to this seq have been judged
	Rows  int64 // how many these were
	Of    int64 // rows of the archive, now
	Chat  int64 // behind the rows: chats up to this number have been made anew
	Chats bool  // all rows have been judged
	Done  bool
}

// Judgement says what a row is for the inbox.
type Judgement struct {
	Flags Flags   // out of InboxFlags
	Chat  jid.JID // the conversation, in case that the row's is not known any more
	Read  string  // id of the message that the row marks as read; "": none
}
