package node_test

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/xmppd/xmppd/jid"
)

// entry is a conversation as the inbox has it (XEP-0430).
type entry struct {
	chat   jid.JID
	unread int
	last   *row
	stands *row // nil: none
}

// place is where it stands among the others.
func (e *entry) place() *row {
	if e.stands != nil {
		return e.stands
	}
	return e.last
}

// inbox lists the conversations, the newest first.
func (a *account) inbox() (list []*entry) {
	by := make(map[jid.JID]*entry)
	for _, r := range a.log {
		e := by[r.chat]
		if e == nil {
			e = &entry{chat: r.chat, stands: a.stands[r.chat]}
			by[r.chat], list = e, append(list, e)
		}
		if e.last = r; r.unread() && r.at > a.read[r.chat] {
			e.unread++
		}
	}
	slices.SortFunc(list, func(x, y *entry) int { return y.place().at - x.place().at })
	return list
}

// look asks for some page of the inbox.
func (w *world) look(s *sess) {
	w.learn(s.account)
	p := page{max: w.r.IntN(5) - 1, last: w.chance(3)}
	if list := s.account.inbox(); len(list) > 0 && w.chance(2) {
		if id := pick(w.r, list).place().id; p.last {
			p.before = id
		} else {
			p.after = id
		}
	}
	w.readInbox(s, p, w.chance(3), !w.chance(3))
}

// readInbox compares a page of the inbox.
func (w *world) readInbox(s *sess, p page, unread, messages bool) {
	w.learn(s.account)
	fin := w.ask(s, "get", fmt.Sprintf("<inbox xmlns='%s' unread-only='%v' messages='%v'>%s</inbox>", nsInbox, unread, messages, p.xml()))
	all := s.account.inbox()
	total, chats := 0, 0
	at := make(map[*row]*entry)
	var set []*row
	for _, e := range all {
		total += e.unread
		chats += min(e.unread, 1)
		if at[e.place()] = e; !unread || e.unread > 0 {
			set = append(set, e.place())
		}
	}
	want := []string{strconv.Itoa(len(all)), strconv.Itoa(chats), strconv.Itoa(total)}
	if got := []string{fin.Attr("total"), fin.Attr("unread"), fin.Attr("all-unread")}; !slices.Equal(got, want) {
		w.fail("%s got the totals %v, want %v", s.full, got, want)
	}
	list, _ := s.account.cut(p, 100, set, -1)
	w.compareFin(s, fin, list, len(set))
	for i, e := range s.results {
		want, got, result := at[list[i]], e.Child(nsInbox, "entry"), e.Child(nsArchive, "result")
		if got.Attr("jid") != want.chat.String() || got.Attr("unread") != strconv.Itoa(want.unread) || got.Attr("id") != want.last.id ||
			(result != nil) != (messages && want.stands != nil) {
			w.fail("%s has in the inbox\n%s\nwant %s, %d unread, %s, %+v", s.full, e, want.chat, want.unread, want.last.id, want.stands)
		}
		if result != nil {
			w.compareResult(want.stands, result)
		}
	}
}
