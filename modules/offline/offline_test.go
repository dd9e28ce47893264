package offline_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
)

func TestDeliveredOnce(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{pong, refused} {
		s := newScene(t)
		s.store(message("one"))
		s.store(message("two"))
		c := s.Login(juliet + "/balcony")
		s.expect(c)
		c.Presence(available, 0)
		s.expect(c, delivered("one"), delivered("two"), asked)
		s.expectWaiting(2)
		s.Answer(answer)
		s.expectWaiting(0)
		s.expect(c)
		c.Close()
		c = s.Login(juliet + "/balcony")
		c.Presence(available, 0)
		s.expect(c)
	}
}

func TestNegativePriority(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	c := s.Login(juliet + "/balcony")
	c.Presence(available, -1)
	s.store(message("one"))
	s.expect(c)
	c.Presence(available, 0)
	s.expect(c, delivered("one"), asked)
}

func TestDeadConnectionLosesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, delivered("one"), asked)
	c.Close()
	s.Answer("")
	s.expectWaiting(1)
	s.store(message("two"))
	c = s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, delivered("one"), delivered("two"), asked)
}

func TestFirstSessionGetsThem(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	first, second := s.Login(juliet+"/balcony"), s.Login(juliet+"/chamber")
	first.Presence(available, 0)
	second.Presence(available, 0)
	s.expect(first, delivered("one"), asked)
	s.expect(second)

	first.Close() // without an answer
	s.expect(second, delivered("one"), asked)
	s.Answer("") // to the first
	s.expectWaiting(1)
	s.Answer(pong)
	s.expectWaiting(0)
}

// Two sessions become available at the same time.
func TestBothAtOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	first, second := s.Login(juliet+"/balcony"), s.Login(juliet+"/chamber")
	s.read = func() {
		second.Presence(available, 0)
		s.expect(second)
	}
	first.Presence(available, 0)
	s.expect(first, delivered("one"), asked)
	s.expect(second)
}

func TestNothingTwiceInOneSession(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, delivered("one"), asked)
	c.Presence(`<presence type='unavailable'/>`, 0)
	s.store(message("two"))
	s.expect(c) // an unavailable resource gets nothing (RFC 6121 §8.5.2.2)
	c.Presence(available, 0)
	s.expect(c, delivered("two"))
	s.Answer(pong) // was sent behind the first only
	s.expectWaiting(1)
	s.expect(c, asked)
	s.Answer(pong)
	s.expectWaiting(0)
}

func TestForgedDelay(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const foreign = `<delay xmlns='urn:xmpp:delay' from='rooms.montague.lit' stamp='2001-01-01T00:00:00Z'/>`
	head := `<message from='` + romeo + `' to='` + juliet + `'><body>hi</body>`
	s.store(head + `<delay xmlns='urn:xmpp:delay' from='Capulet.LIT' stamp='2001-01-01T00:00:00Z'/>` + foreign + `</message>`)
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, head+foreign+`<delay xmlns='urn:xmpp:delay' from='capulet.lit' stamp='2026-07-14T23:08:25.000Z'/></message>`, asked)
}

func TestOtherNodes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	if len(s.Invalidated) != 0 {
		t.Errorf("nobody is there, and told: %v", s.Invalidated)
	}
	s.Elsewhere(juliet+"/abroad", true)
	s.store(message("two"))
	if diff := cmp.Diff([]string{"offline juliet@capulet.lit"}, s.Invalidated); diff != "" {
		t.Error(diff)
	}
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c) // the other has them
	s.m.Invalidated(jid.MustParse("juliet@montague.lit"))
	s.expect(c)
	s.m.Invalidated(jid.MustParse(juliet))
	s.expect(c, delivered("one"), delivered("two"), asked)
}
