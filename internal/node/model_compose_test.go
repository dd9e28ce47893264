package node_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// contents are what people and their clients write, and how often.
var contents = []struct {
	weight int
	parts  string
	about  string // whose message a part names
}{
	{15, "body", ""}, {10, "body markable", ""}, {8, "body markable request active", ""}, {5, "body request", ""},
	{2, "payload", ""}, {2, "payload body", ""}, {2, "keys", ""},
	{9, "replace body", "own"},
	{3, "retract store", "own"}, {3, "retract store body", "own"},
	{4, "reactions", "their"}, {2, "reactions", "own"}, {6, "receipt", "their"},
	{20, "displayed", "their"}, {3, "acknowledged", "their"}, {3, "received", "their"},
	{4, "active", ""}, {1, "invite", ""}, {1, "propose", ""}, {1, "ringing", ""}, {1, "foreign", ""}, {1, "store", ""}, {1, "", ""},
}

// compose makes a note of any kind.
func (w *world) compose(s *sess) *note {
	m := &note{from: s.full, kind: "chat", text: text(w.r)}
	w.direct(m, s.account)
	n, sum := strconv.Itoa(len(w.notes)), 0
	switch k := w.r.IntN(100); {
	case k < 45:
		m.id, m.origin = "m"+n, "m"+n
	case k < 90:
		m.id = "m" + n
	case k < 93:
		m.id, m.origin = "m"+n, "o"+n
	case k < 96:
		m.origin = "o" + n
	}
	for _, c := range contents {
		sum += c.weight
	}
	for k, i := w.r.IntN(sum), 0; k >= 0; i++ {
		c := contents[i]
		if k -= c.weight; k < 0 {
			m.parts, m.about = strings.Fields(c.parts), w.earlier(m, s.account, c.about == "own")
		}
	}
	for _, hint := range []string{"no-store", "no-permanent-store", "private"} {
		if w.chance(25) {
			m.parts = append(m.parts, hint)
		}
	}
	return w.number(m)
}

// plain is a text to an account.
func (w *world) plain(s *sess, to *account) *note {
	m := &note{from: s.full, kind: "chat", to: to.jid, text: text(w.r), parts: []string{"body"}}
	m.id = "m" + strconv.Itoa(len(w.notes))
	m.origin = m.id
	return w.number(m)
}

// copyOf is the same message, sent by a session.
func (w *world) copyOf(m *note, s *sess) *note {
	c := *m
	c.from = s.full
	return w.number(&c)
}

func (w *world) number(m *note) *note {
	m.n = len(w.notes)
	w.notes = append(w.notes, m)
	m.write()
	return m
}

// direct chooses an addressee: another account or oneself, and any session or none.
func (w *world) direct(m *note, a *account) {
	to := pick(w.r, w.order)
	if to == a && !w.chance(3) {
		to = pick(w.r, w.order)
	}
	m.to = to.jid
	switch n := w.r.IntN(100); {
	case n < 5:
		m.to, _ = to.jid.WithResource("elsewhere")
	case n < 30 && len(to.sessions) > 0:
		m.to = pick(w.r, to.sessions).full
	case n < 50:
		m.kind = ""
	case to == a:
		m.silentTo = w.chance(3)
	}
}

// reuse gives a note an id that its sender has used before, now and then.
func (w *world) reuse(m *note, a *account) {
	if w.chance(25) && len(a.log) > 0 && m.origin == "" {
		if r := pick(w.r, a.log); r.own() && r.note.id != "" && m.about != r.note.id {
			m.id = r.note.id
			m.write()
		}
	}
}

// earlier is the id of a message in the same conversation, by the account itself or
// by the other side; sometimes a wrong one.
func (w *world) earlier(m *note, a *account, own bool) string {
	if w.chance(20) {
		own = !own
	}
	var ids []string
	for _, r := range a.log {
		if r.chat == m.to.Bare() && r.own() == own && r.note.name() != "" {
			ids = append(ids, r.note.name())
		}
	}
	switch {
	case len(ids) == 0 || w.chance(20):
		return "unknown"
	case w.chance(2):
		return ids[max(0, len(ids)-1-w.r.IntN(4))]
	}
	return pick(w.r, ids)
}

var (
	latin = []string{"orchard", "moon", "Verona", "sword", "night", "love", "at", "nine", "friar"}
	cjk   = []string{"학교에서", "안녕하세요", "내일", "만나자", "한국어", "我爱你", "北京市", "明天见", "今天北京很冷"}
)

// text makes a sentence.
func text(r *rand.Rand) string {
	list := pick(r, [][]string{latin, cjk})
	some := make([]string, 1+r.IntN(4))
	for i := range some {
		some[i] = pick(r, list)
	}
	return strings.Join(some, pick(r, []string{" ", ", "})) + pick(r, []string{"", "", "!", "?", " :)"})
}

// sought makes something to search for: words, or parts of what has no spaces.
func sought(r *rand.Rand) string {
	some := make([]string, 1+r.IntN(2))
	for i := range some {
		if some[i] = pick(r, latin); r.IntN(2) == 0 {
			w := []rune(pick(r, cjk))
			at := r.IntN(len(w) - 1)
			some[i] = string(w[at : at+1+r.IntN(len(w)-at)])
		}
	}
	return strings.Join(some, " ")
}

// finds reports whether all parts of a query stand in a text: words as a whole, what
// has no spaces anywhere.
func finds(query, text string) bool {
	has := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune(" ,!?:)", r) })
	for _, want := range strings.Fields(strings.ToLower(query)) {
		found := false
		for _, w := range has {
			found = found || w == want || want[0] >= 0x80 && strings.Contains(w, want)
		}
		if !found {
			return false
		}
	}
	return true
}
