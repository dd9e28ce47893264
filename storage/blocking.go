package storage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/jid"
)

// Blocked is an item of a blocklist (XEP-0191).
type Blocked struct {
	Owner jid.JID // bare
	JID   jid.JID // full, bare, or a domain with or without a resource
}

// Block is what one request adds to a blocklist.
type Block struct {
	Owner jid.JID   // bare
	Items []jid.JID // no duplicates
	Limit int       // of the items that the list may hold afterwards

	// Reports are stored as far as the account has made fewer than ReportLimit
	// since ReportsSince. That the rest is left out is no error: the addresses are
	// blocked all the same (XEP-0377).
	Reports      []Report
	ReportLimit  int
	ReportsSince time.Time
}

// Check returns ErrTooMany if the request makes a list longer than its limit;
// one that adds nothing never does. before is in the order of addresses. The
// stores call it inside their transaction.
func (b *Block) Check(before []jid.JID) error {
	n := len(before)
	for _, item := range b.Items {
		if _, ok := slices.BinarySearchFunc(before, item, ByAddress); !ok {
			n++
		}
	}
	if n > len(before) && n > b.Limit {
		return ErrTooMany
	}
	return nil
}

// ByAddress orders addresses by their text, as the stores do.
func ByAddress(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) }

// Report says why an account has blocked somebody (XEP-0377).
type Report struct {
	ID       int64
	Reporter jid.JID // bare
	Reported jid.JID // as it was blocked
	Reason   string  // a URI, such as urn:xmpp:reporting:spam
	Texts    []ReportText
	Messages []StanzaID
	Copies   []ReportCopy // of those of them that the reporter's archive had
	// ToOrigin and ThirdParty: the reporter agrees that the report is handed on to
	// the server of the reported, or to others.
	ToOrigin, ThirdParty bool
	Created              time.Time
	Closed               time.Time // zero: open
	Comment              string    // of whoever closed it
}

// ReportText is what the reporter says, in one language.
type ReportText struct {
	Lang string `json:"lang,omitempty"`
	Text string `json:"text"`
}

// StanzaID names a message in an archive (XEP-0359).
type StanzaID struct {
	By string `json:"by"` // whose archive, as the client wrote it
	ID string `json:"id"`
}

// ReportCopy is a reported message as it stood in the reporter's archive.
type ReportCopy struct {
	ID      string    `json:"id"` // its id there
	Arrived time.Time `json:"time"`
	XML     string    `json:"xml"`
}

// ReportColumns are what a report has several of, as the stores keep it.
type ReportColumns struct{ Texts, Messages, Copies string }

// Columns encodes what a report has several of.
func (r *Report) Columns() (c ReportColumns, err error) {
	for column, list := range map[*string]any{&c.Texts: r.Texts, &c.Messages: r.Messages, &c.Copies: r.Copies} {
		b, err := json.Marshal(list)
		if err != nil {
			return c, fmt.Errorf("encode report: %w", err)
		}
		*column = string(b)
	}
	return c, nil
}

// SetColumns is the reverse of Columns.
func (r *Report) SetColumns(c ReportColumns) error {
	for list, column := range map[any]string{&r.Texts: c.Texts, &r.Messages: c.Messages, &r.Copies: c.Copies} {
		if err := json.Unmarshal([]byte(column), list); err != nil {
			return fmt.Errorf("decode report %d: %w", r.ID, err)
		}
	}
	return nil
}

// ReportState selects reports.
type ReportState uint8

// The selections of reports.
const (
	OpenReports ReportState = iota
	ClosedReports
	AllReports
)
