package node_test

import (
	"context"
	"slices"
	"time"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// pass has time pass, in steps in which everybody reads.
func (w *world) pass(seconds int) {
	for seconds > 0 {
		step := min(seconds, 40)
		for slices.ContainsFunc(w.waiting(), func(s *sess) bool { return s.left-step >= -2 && s.left-step <= 2 }) {
			step++ // the clocks are coarse
		}
		w.s.Pass(time.Duration(step) * time.Second)
		seconds -= step
		for _, s := range w.waiting() {
			if s.left -= step; s.left <= 0 {
				w.over(s, false)
			}
		}
		w.everybodyReads()
	}
}

func (w *world) everybodyReads() {
	for _, s := range w.connected() {
		w.sync(s)
	}
}

// restart stops the server as planned and starts another one.
func (w *world) restart() {
	w.everybodyReads()
	all, waiting := w.connected(), w.waiting()
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), xmpptest.Patience)
		defer cancel()
		stopped <- w.s.Stop(ctx)
	}()
	for _, s := range all { // the server waits for them first
		if !s.manage {
			s.c.AnswerPings(false)
			if cond := s.c.Ended(); cond != "system-shutdown" {
				w.fail("%s: the stream ended with %q", s.full, cond)
			}
			s.c.Drop()
		}
	}
	for _, s := range all {
		for s.manage && s.c.TrySync() == nil {
		}
	}
	if err := <-stopped; err != nil {
		w.fail("stop: %v", err)
	}
	w.start()
	for _, s := range all {
		if s.manage {
			s.connected, s.restored, s.left = false, true, resumeTimeout
		} else {
			w.over(s, false)
		}
	}
	for _, s := range waiting {
		s.restored, s.left = true, max(s.left, 60) // see c2s/restart.go
	}
}
