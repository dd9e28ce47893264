package node_test

import (
	"slices"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// send sends notes in one go and has them take effect.
func (w *world) send(s *sess, list ...*note) {
	w.write(s, list)
	for _, m := range list {
		w.apply(m, s)
	}
	w.sync(s)
}

func (w *world) write(s *sess, list []*note) {
	all := ""
	for _, m := range list {
		w.trace("%s sends %s", s.full, m.xml)
		all += m.xml
	}
	s.c.Send(all)
}

// apply does with a note what the server has to do with it.
func (w *world) apply(m *note, from *sess) {
	sender, to := from.account, w.accounts[m.to.Bare()]
	planned := plan(m, to)
	if to != sender && m.keepable() && !sender.has(m, true) {
		sender.add(&row{note: m, sent: true, chat: m.to.Bare(), archived: true})
	}
	again := m.keepable() && to.has(m, false)
	if !again && (m.keepable() || planned == nil && m.lasting()) {
		to.add(&row{note: m, chat: m.from.Bare(), archived: m.keepable()})
	}
	refer(m, sender, to)
	if !again { // ADR 0011
		spread(m, from, to, planned)
	}
}

// has reports whether the archive has got the same message within the last hour,
// which is longer than a world exists. Of a tombstone nobody knows the text.
func (a *account) has(m *note, sent bool) bool {
	chat := m.from.Bare()
	if sent {
		chat = m.to.Bare()
	}
	return m.promised() && slices.ContainsFunc(a.log, func(r *row) bool {
		return r.chat == chat && r.sent == sent && r.note.name() == m.name() && (r.tomb != "" || r.note.body() == m.body())
	})
}

// refer does what a note does to earlier ones.
func refer(m *note, sender, to *account) {
	if m.has("displayed", "acknowledged") && sender != to {
		sender.displayed(m.to.Bare(), m.about)
	}
	if m.has("retract") && m.id != "" && m.about != "" && m.id != m.about {
		if sender != to {
			sender.retract(m.to.Bare(), true, m.about, m.id)
		}
		to.retract(m.from.Bare(), false, m.about, m.id)
	}
}

// plan is RFC 6121 §8.5 with the choices of the server (router/message.go).
func plan(m *note, to *account) (planned []*sess) {
	for _, s := range to.sessions {
		if s.full == m.to {
			return []*sess{s}
		}
		if s.takes {
			planned = append(planned, s)
		}
	}
	return planned
}

// spread has the sessions expect what they have to get: the note, or a copy (XEP-0280).
func spread(m *note, from *sess, to *account, planned []*sess) {
	for _, s := range planned {
		s.expect = append(s.expect, due{note: m})
	}
	if !m.copied() {
		return
	}
	for _, s := range from.account.sessions {
		if s.carbons && s != from && !slices.Contains(planned, s) {
			s.expect = append(s.expect, due{note: m, copy: "sent"})
		}
	}
	for _, s := range to.sessions {
		if s.carbons && to != from.account && !slices.Contains(planned, s) {
			s.expect = append(s.expect, due{note: m, copy: "received"})
		}
	}
}

func (w *world) sendSome(s *sess) {
	var list []*note
	for range max(1, w.r.IntN(8)-3) {
		m := w.compose(s)
		if list = append(list, m); m.has("retract") { // what comes at once with one is retracted, too
			break
		}
	}
	if len(list) == 1 {
		w.reuse(list[0], s.account)
	}
	w.send(s, list...)
}

// sendAtOnce has several devices write to somebody at the same time. They come into
// his archive in some order, which is that of all others.
func (w *world) sendAtOnce(*sess) {
	to, list := pick(w.r, w.order), w.connected()
	w.r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:min(len(list), 2+w.r.IntN(2))]
	w.learn(to)
	by := make(map[jid.JID]*sess)
	for _, s := range list {
		var some []*note
		for range 1 + w.r.IntN(4) {
			some = append(some, w.plain(s, to))
		}
		by[s.full] = s
		w.write(s, some)
	}
	for _, s := range list {
		s.c.Sync()
	}
	for _, m := range w.stored(to, to.learned) {
		n := w.notes[threadOf(m)]
		w.apply(n, by[n.from])
	}
	for _, s := range list {
		w.sync(s)
	}
}

func threadOf(m *storage.Message) int {
	_, rest, _ := strings.Cut(string(m.XML), "<thread>")
	number, _, _ := strings.Cut(rest, "<")
	n, _ := strconv.Atoi(number)
	return n
}

// sendAndLose loses the connection right behind a message: nobody knows whether the
// server has got it. A client that resumes sends again what was not handled, another
// one what it is not sure of.
func (w *world) sendAndLose(s *sess) {
	m := w.plain(s, pick(w.r, w.order))
	w.learn(s.account)
	w.write(s, []*note{m})
	if s.manage {
		s.c.DropDetached()
	} else {
		s.c.Drop()
	}
	handled := len(w.stored(s.account, s.account.learned)) > 0
	if handled {
		w.apply(m, s)
	}
	if s.manage {
		w.resume(s)
		if !handled { // the client has sent it again
			w.apply(m, s)
		}
		w.sync(s)
		return
	}
	w.over(s, false)
	s = w.connect(s.device)
	w.send(s, w.copyOf(m, s))
}

// sendAgain sends a message with the same origin-id as an earlier one; sometimes it is
// another message, of a client that counts anew.
func (w *world) sendAgain(s *sess) {
	var list []*note
	for _, r := range s.account.log[max(0, len(s.account.log)-40):] {
		if r.own() && r.note.promised() && r.note.has("body") && !r.note.has("retract") {
			list = append(list, r.note)
		}
	}
	if len(list) > 0 {
		m := w.copyOf(pick(w.r, list), s)
		if w.chance(4) {
			m.text = text(w.r)
			m.write()
		}
		w.send(s, m)
	}
}
