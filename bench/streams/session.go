package main

import (
	"strconv"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// session is a logged-in client. After start it has a goroutine that reads:
// counts stanzas, confirms them when asked, and hands messages on.
type session struct {
	*wire
	account *account
	outcome outcome
	done    chan struct{} // closed when the reader has ended
	err     error         // why, once done
}

func newSession(w *wire, a *account, t outcome) *session {
	return &session{wire: w, account: a, outcome: t, done: make(chan struct{})}
}

// start reads in a goroutine; message gets every message and may be nil.
func (s *session) start(message func(*stanza.Stanza)) {
	go func() {
		defer close(s.done)
		s.err = s.read(message)
	}()
}

func (s *session) read(message func(*stanza.Stanza)) error {
	for {
		st, err := s.element()
		if err != nil {
			return err
		}
		switch {
		case st.Kind != stanza.Other:
			s.account.h++
			if st.Kind == stanza.Message && message != nil {
				message(st)
			}
		case s.outcome.managed && st.Root().Is(nsSM, "r"):
			if err := s.send("<a xmlns='" + nsSM + "' h='" + strconv.FormatUint(uint64(s.account.h), 10) + "'/>"); err != nil {
				return err
			}
		}
	}
}

// stop ends the reader of a started session and leaves the connection open, as
// if the network had gone: nothing is read, written or closed any more.
func (s *session) stop() {
	_ = s.tcp.SetReadDeadline(time.Now())
	<-s.done
}

// cut closes the connection of a started session; the stream is not ended, so
// that the session can be resumed.
func (s *session) cut() {
	s.close()
	<-s.done
}

// end ends the stream of a session that was not started and waits until the
// server has done so too, one second at most.
func (s *session) end() {
	s.within(time.Second)
	if s.send("</stream:stream>") == nil {
		for {
			if _, err := s.element(); err != nil {
				break
			}
		}
	}
	s.close()
}
