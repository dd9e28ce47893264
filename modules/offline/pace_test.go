package offline_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/storage"
)

func TestManyInOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var want []string
	for i := range 123 {
		s.store(message(fmt.Sprint(i)))
		want = append(want, delivered(fmt.Sprint(i)))
	}
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, append(want, asked)...)
	s.Answer(pong)
	s.expectWaiting(0)
}

// More waits than the outbox may hold: it comes as fast as the client reads,
// and all of it before the session is available.
func TestPaceOfTheClient(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	long := strings.Repeat("x", 30<<10)
	const n = 60 // 1.8 MB, the outbox takes 1 MiB
	for range n {
		s.store(message(long))
	}
	c := s.Login(juliet + "/balcony")
	c.Stall(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Presence(available, 0)
	}()
	got := ""
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
			c.Stall(false)
			got += c.Received()
			c.Stall(true)
		}
	}
	c.Stall(false)
	c.Outbox.Flush()
	for !strings.HasSuffix(got, asked) {
		got += c.Received()
	}
	if want := strings.Repeat(delivered(long), n) + asked; got != want {
		t.Errorf("received %d bytes, want %d", len(got), len(want))
	}
}

// A sender never waits for a reader: what does not fit follows later.
func TestSenderDoesNotWait(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	c.Stall(true)
	long := strings.Repeat("x", 30<<10)
	var commits []func() error
	for range 5 {
		_, commit, _ := s.plan(message(long))
		commits = append(commits, commit)
	}
	for _, commit := range commits {
		if err := commit(); err != nil {
			t.Fatal(err)
		}
	}
	c.Stall(false)
	got := c.Received()
	for s.Answer(pong) {
		s.pass(2)
		got += c.Received()
	}
	if n := strings.Count(got, delivered(long)); n != 5 {
		t.Errorf("%d messages", n)
	}
	s.expectWaiting(0)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.limits = offline.Limits{Messages: 2, Bytes: 1 << 20}
	s.store(message("one"))
	s.store(message("two"))
	if _, commit, verdict := s.plan(message("three")); verdict != nil || !errors.Is(commit(), storage.ErrTooMany) {
		t.Errorf("the third of two: %v", verdict)
	}
	s.limits = offline.Limits{}
	if f, _, verdict := s.plan(message("four")); verdict != nil || f.Stored {
		t.Errorf("nothing is to be kept: %v, stored %v", verdict, f.Stored)
	}
	s.expectWaiting(2)
}
