package roster

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// states are the nine of RFC 6121 §A.1.
var states = map[string]state{
	"None":                  {},
	"None + Pending Out":    {out: true},
	"None + Pending In":     {in: true},
	"None + Pending Out+In": {out: true, in: true},
	"To":                    {sub: storage.SubTo},
	"To + Pending In":       {sub: storage.SubTo, in: true},
	"From":                  {sub: storage.SubFrom},
	"From + Pending Out":    {sub: storage.SubFrom, out: true},
	"Both":                  {sub: storage.SubBoth},
}

const unchanged = "no state change"

// tables are tables 2 to 9 of RFC 6121 Appendix A: existing state, route or
// deliver, new state, and what is answered.
var tables = []struct {
	name  string
	next  func(state, stanza.Type) step
	typ   stanza.Type
	table string
}{
	{"A.2.1", outbound, stanza.Subscribe, `
		None                  | MUST | None + Pending Out
		None + Pending Out    | MUST | no state change
		None + Pending In     | MUST | None + Pending Out+In
		None + Pending Out+In | MUST | no state change
		To                    | MUST | no state change
		To + Pending In       | MUST | no state change
		From                  | MUST | From + Pending Out
		From + Pending Out    | MUST | no state change
		Both                  | MUST | no state change`},
	{"A.2.2", outbound, stanza.Unsubscribe, `
		None                  | MUST | no state change
		None + Pending Out    | MUST | None
		None + Pending In     | MUST | no state change
		None + Pending Out+In | MUST | None + Pending In
		To                    | MUST | None
		To + Pending In       | MUST | None + Pending In
		From                  | MUST | no state change
		From + Pending Out    | MUST | From
		Both                  | MUST | From`},
	{"A.2.3", outbound, stanza.Subscribed, `
		None                  | M.N. | pre-approval
		None + Pending Out    | M.N. | pre-approval
		None + Pending In     | MUST | From
		None + Pending Out+In | MUST | From + Pending Out
		To                    | M.N. | pre-approval
		To + Pending In       | MUST | Both
		From                  | M.N. | no state change
		From + Pending Out    | M.N. | no state change
		Both                  | M.N. | no state change`},
	{"A.2.4", outbound, stanza.Unsubscribed, `
		None                  | S.N. | no state change
		None + Pending Out    | S.N. | no state change
		None + Pending In     | MUST | None
		None + Pending Out+In | MUST | None + Pending Out
		To                    | S.N. | no state change
		To + Pending In       | MUST | To
		From                  | MUST | None
		From + Pending Out    | MUST | None + Pending Out
		Both                  | MUST | To`},
	{"A.3.1", inbound, stanza.Subscribe, `
		None                  | MUST | None + Pending In
		None + Pending Out    | MUST | None + Pending Out+In
		None + Pending In     | S.N. | no state change
		None + Pending Out+In | S.N. | no state change
		To                    | MUST | To + Pending In
		To + Pending In       | S.N. | no state change
		From                  | S.N. | no state change | subscribed
		From + Pending Out    | S.N. | no state change | subscribed
		Both                  | S.N. | no state change | subscribed`},
	{"A.3.2", inbound, stanza.Unsubscribe, `
		None                  | S.N. | no state change
		None + Pending Out    | S.N. | no state change
		None + Pending In     | MUST | None               | unsubscribed
		None + Pending Out+In | MUST | None + Pending Out | unsubscribed
		To                    | S.N. | no state change
		To + Pending In       | MUST | To                 | unsubscribed
		From                  | MUST | None               | unsubscribed
		From + Pending Out    | MUST | None + Pending Out | unsubscribed
		Both                  | MUST | To                 | unsubscribed`},
	{"A.3.3", inbound, stanza.Subscribed, `
		None                  | S.N. | no state change
		None + Pending Out    | MUST | To
		None + Pending In     | S.N. | no state change
		None + Pending Out+In | MUST | To + Pending In
		To                    | S.N. | no state change
		To + Pending In       | S.N. | no state change
		From                  | S.N. | no state change
		From + Pending Out    | MUST | Both
		Both                  | S.N. | no state change`},
	{"A.3.4", inbound, stanza.Unsubscribed, `
		None                  | S.N. | no state change
		None + Pending Out    | MUST | None
		None + Pending In     | S.N. | no state change
		None + Pending Out+In | MUST | None + Pending In
		To                    | MUST | None
		To + Pending In       | MUST | None + Pending In
		From                  | S.N. | no state change
		From + Pending Out    | MUST | From
		Both                  | MUST | From`},
}

func TestAppendixA(t *testing.T) {
	t.Parallel()
	for _, tt := range tables {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seen := make(map[string]bool)
			for line := range strings.Lines(strings.TrimSpace(tt.table)) {
				cells := strings.Split(line, "|")
				for i := range cells {
					cells[i] = strings.TrimSpace(cells[i])
				}
				seen[cells[0]] = true
				before, ok := states[cells[0]]
				if !ok {
					t.Fatalf("unknown state %q", cells[0])
				}
				want := step{state: before, pass: cells[1] == "MUST"}
				switch cells[2] {
				case unchanged:
				case "pre-approval":
					want.state.approved = true
				default:
					if want.state, ok = states[cells[2]]; !ok {
						t.Fatalf("unknown state %q", cells[2])
					}
				}
				if len(cells) > 3 {
					want.reply = map[string]stanza.Type{"subscribed": stanza.Subscribed, "unsubscribed": stanza.Unsubscribed}[cells[3]]
				}
				if got := tt.next(before, tt.typ); got != want {
					t.Errorf("%v in state %q: got %+v, want %+v", tt.typ, cells[0], got, want)
				}
			}
			if len(seen) != len(states) {
				t.Errorf("%d states of %d are in the table", len(seen), len(states))
			}
		})
	}
}

// RFC 6121 §3.4: what pre-approval changes in the tables.
func TestPreApproval(t *testing.T) {
	t.Parallel()
	for name, s := range states {
		s.approved = true
		subscribed := s.sub&storage.SubFrom != 0
		asked := s.in

		got := inbound(s, stanza.Subscribe)
		want := step{state: s, reply: stanza.Subscribed}
		want.state.sub |= storage.SubFrom
		want.state.in = false
		if got != want {
			t.Errorf("approved, inbound subscribe in state %q: got %+v, want %+v", name, got, want)
		}

		// §3.2.2 rule 2: withdrawn, and not told to the contact unless it knew.
		got = outbound(s, stanza.Unsubscribed)
		if got.state.approved || got.pass != (subscribed || asked) {
			t.Errorf("approved, outbound unsubscribed in state %q: got %+v", name, got)
		}

		// §4.3.2 rule 1: what the contact sends does not withdraw it.
		for _, typ := range []stanza.Type{stanza.Unsubscribed, stanza.Unsubscribe, stanza.Subscribed} {
			if got := inbound(s, typ); !got.state.approved {
				t.Errorf("approved, inbound %v in state %q: approval lost", typ, name)
			}
		}
	}
}

// No sequence of stanzas leads out of the nine states.
func TestOnlyDefinedStates(t *testing.T) {
	t.Parallel()
	defined := make(map[state]bool)
	for _, s := range states {
		defined[s] = true
	}
	types := []stanza.Type{stanza.Subscribe, stanza.Subscribed, stanza.Unsubscribe, stanza.Unsubscribed}
	reached, todo := map[state]bool{{}: true}, []state{{}}
	for len(todo) > 0 {
		s := todo[0]
		todo = todo[1:]
		for _, next := range []func(state, stanza.Type) step{outbound, inbound} {
			for _, typ := range types {
				n := next(s, typ).state
				plain := n
				plain.approved = false
				if !defined[plain] {
					t.Fatalf("%v leads from %+v to %+v", typ, s, n)
				}
				if !reached[n] {
					reached[n] = true
					todo = append(todo, n)
				}
			}
		}
	}
	if len(reached) < len(states) {
		t.Errorf("%d states reached", len(reached))
	}
}

func TestPutKeepsTheFirstRequest(t *testing.T) {
	t.Parallel()
	var i storage.RosterItem
	s := inbound(state{}, stanza.Subscribe).state
	s.put(&i, []byte("first"))
	s.put(&i, []byte("second"))
	if string(i.PendingIn) != "first" || i.Listed {
		t.Errorf("got %+v", i)
	}
	outbound(stateOf(&i), stanza.Subscribed).state.put(&i, nil)
	if i.PendingIn != nil || !i.Listed || i.Sub != storage.SubFrom {
		t.Errorf("after the approval: %+v", i)
	}
	outbound(stateOf(&i), stanza.Unsubscribed).state.put(&i, nil)
	if !i.Listed || i.Sub != storage.SubNone {
		t.Errorf("an item leaves the roster only by a roster set: %+v", i)
	}
}
