package offline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/internal/routertest"
)

// player is a session at random.
type player struct {
	*guest
	managed bool
	taking  bool
	has     map[string]bool // what it was sent
	queue   []string        // what it has read and not confirmed
}

// game is what clients at random know: what anybody has confirmed.
type game struct {
	*house
	r       *rand.Rand
	romeo   *routertest.Client
	players []*player
	sent    []string
	got     map[string]bool
	logins  int
}

// Whatever clients do, a session is sent nothing twice and nothing that somebody
// has confirmed, and in the end nothing is missing.
func TestAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			g := &game{house: newHouse(t, 1), r: rand.New(rand.NewPCG(seed, 0)), got: make(map[string]bool)}
			g.romeo = g.Login("romeo@capulet.lit/orchard")
			for range 800 {
				g.act()
			}
			for len(g.players) > 0 {
				g.leave(g.players[0])
			}
			g.enter(false)
			last := g.players[0]
			last.taking = true
			last.available()
			g.read(last)
			for _, text := range g.sent {
				if !g.got[text] && !last.has[text] {
					t.Errorf("%s is missing", text)
				}
			}
			g.pass(4)
			g.read(last)
			g.pass(2)
			g.expectLeft()
		})
	}
}

func (g *game) act() {
	switch n := g.r.IntN(20); {
	case n < 7:
		to := juliet
		if len(g.players) > 0 && g.r.IntN(3) == 0 {
			to = g.players[g.r.IntN(len(g.players))].JID.String()
		}
		g.sent = append(g.sent, fmt.Sprintf("m%d", len(g.sent)))
		g.romeo.Send(text(to, g.sent[len(g.sent)-1]))
		g.all[g.Node].Wait()
	case n == 7 && len(g.players) < 4:
		g.enter(g.r.IntN(2) == 0)
	case n == 8:
		g.pass(1 + g.r.IntN(6))
	case len(g.players) == 0:
	default:
		g.player(n, g.players[g.r.IntN(len(g.players))])
	}
}

func (g *game) player(n int, p *player) {
	switch {
	case n == 9:
		g.leave(p)
	case n < 12 && !p.taking:
		p.taking = true
		p.available()
	case n == 12:
		g.all[g.Node].Queried(p.Session)
	case n == 13:
		p.taking = false
		g.Registry.SetPresence(p.Session, nil, 0)
	case n == 14:
		g.Registry.SetCarbons(p.Session, g.r.IntN(2) == 0)
	case n < 18:
		g.read(p)
	case p.managed:
		g.read(p)
		k := g.r.IntN(len(p.queue) + 1)
		p.ack(uint32(k))
		g.confirm(p, k)
	}
}

func (g *game) enter(managed bool) {
	g.logins++
	p := &player{guest: g.login(g.Node, fmt.Sprintf("r%d", g.logins)), managed: managed, has: make(map[string]bool)}
	if managed {
		p.manage()
	}
	g.players = append(g.players, p)
}

func (g *game) leave(p *player) {
	g.players = slices.DeleteFunc(g.players, func(e *player) bool { return e == p })
	p.Close()
	g.all[g.Node].Wait()
}

// confirm notes that the client has confirmed what it has read, in front.
func (g *game) confirm(p *player, n int) {
	for _, text := range p.queue[:n] {
		g.got[text] = true
	}
	p.queue = p.queue[n:]
}

// read reads everything and answers pings.
func (g *game) read(p *player) {
	g.t.Helper()
	g.all[g.Node].Wait()
	p.Outbox.Flush()
	for line := range strings.Lines(p.Received()) {
		if m := ping.FindStringSubmatch(line); m != nil {
			p.Send(`<iq type='result' to='capulet.lit' id='` + m[1] + `'/>`)
			g.confirm(p, len(p.queue))
			continue
		}
		m := body.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if p.has[m[1]] {
			g.t.Errorf("%s was sent %s twice", p.JID, m[1])
		}
		if g.got[m[1]] && delay.MatchString(line) {
			g.t.Errorf("%s was sent %s, which somebody has confirmed", p.JID, m[1])
		}
		p.has[m[1]] = true
		p.queue = append(p.queue, m[1])
	}
}
