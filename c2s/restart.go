package c2s

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// halt lets no further burst begin and waits for the one that runs. The session
// is not the connection's business any more. It reports false if the burst does
// not end in time, as when it waits for a slow client.
func (c *conn) halt(ctx context.Context) bool {
	if !lock(ctx, &c.reading) {
		return false
	}
	defer c.reading.Unlock()
	c.halted = true
	c.released.Store(true)
	return true
}

// lock is mu.Lock, given up with the context.
func lock(ctx context.Context, mu *sync.Mutex) bool {
	const pause = 5 * time.Millisecond
	for !mu.TryLock() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
	return true
}

// keep writes the sessions that clients may resume after a planned restart and
// lets go of their connections without ending their streams (DESIGN §5.2). On
// an error the sessions end.
func (s *Server) keep(ctx context.Context, all []*stream) (err error) {
	rows := make([]storage.Snapshot, 0, len(all))
	conns := make([]*conn, 0, len(all))
	stopped := make([]*stream, 0, len(all))
	defer func() {
		if err != nil {
			for _, r := range stopped {
				s.parting.Go(r.abandon)
			}
		}
	}()
	waiting, cancel := share(ctx)
	defer cancel()
	for _, r := range all {
		c, ok := r.stop(waiting)
		if ok {
			stopped = append(stopped, r)
		}
		if c != nil {
			conns = append(conns, c)
		}
	}
	for _, r := range stopped {
		if run := r.noted.Load(); run != nil {
			run.Wait() // written behind the snapshot it would take it for outdated
		}
		row, err := r.snapshot()
		if err != nil {
			return err
		}
		if row == nil {
			s.parting.Go(r.abandon) // if nobody has yet: it was told to end
			continue
		}
		rows = append(rows, *row)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := s.Store.SaveSnapshots(ctx, rows); err != nil {
		return fmt.Errorf("save sessions: %w", err)
	}
	for _, c := range conns {
		c.t.Cut(errStopping)
	}
	s.Log.Info("sessions kept for the next start", "sessions", len(rows))
	return nil
}

// share is half of the time that is left, so that nobody uses up all of it.
func share(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/2)
}

// stop ends reading for the session, tells the client what was handled and
// returns the connection, nil if there is none. No other connection can take the
// session over any more. If that does not happen in time the session ends instead.
func (r *stream) stop(ctx context.Context) (c *conn, ok bool) {
	taken := lock(ctx, &r.taking) // for ever
	r.mu.Lock()
	c = r.conn
	r.mu.Unlock()
	if taken && c == nil {
		return nil, true
	}
	if !taken || !c.halt(ctx) {
		r.session.Outbox.Abort(errStopping)
		return nil, false
	}
	r.session.Outbox.Append(handled(r.session))
	r.session.Outbox.Flush()
	return c, true
}

// snapshot is the row of a session that has not ended.
func (r *stream) snapshot() (*storage.Snapshot, error) {
	r.mu.Lock()
	left := r.max
	if r.conn == nil {
		left = r.deadline - r.srv.Wheel.Now()
	}
	r.kept = !r.over && !r.session.Outbox.Closed()
	kept := r.kept
	r.mu.Unlock()
	if !kept {
		return nil, nil
	}
	snap := r.session.Save()
	snap.Max, snap.Left = r.max, left
	data, err := snap.Encode()
	if err != nil {
		return nil, err
	}
	return &storage.Snapshot{
		Stream: storage.Stream{ID: snap.StreamID, Owner: r.session.JID.Bare(), H: snap.H, Until: r.srv.Now().Add(streamMemory)},
		Data:   data,
	}, nil
}

// Restore brings back the sessions that were kept at a planned stop; they wait
// for their clients. It is called before anybody can connect.
func (s *Server) Restore(ctx context.Context) error {
	const page = 256
	restored := 0
	for {
		rows, err := s.Store.TakeSnapshots(ctx, page)
		if err != nil {
			return fmt.Errorf("restore sessions: %w", err)
		}
		for _, row := range rows {
			if err := s.restore(row); err != nil {
				s.Log.Error("session not restored", "account", row.Owner.String(), "error", err)
				continue
			}
			restored++
		}
		if len(rows) < page {
			break
		}
	}
	if restored > 0 {
		s.Log.Info("sessions restored", "sessions", restored)
	}
	return nil
}

func (s *Server) restore(row storage.Snapshot) error {
	const grace = 60 // seconds at least: its client could not come while there was no server
	snap, err := session.DecodeSnapshot(row.Data)
	if err != nil {
		return err
	}
	restored, err := snap.Session(s.Registry.NewRef())
	if err != nil {
		return err
	}
	if !s.Router.Hosted(restored.JID.Domain()) {
		return fmt.Errorf("%s is not hosted any more", restored.JID.Domain())
	}
	r := &stream{srv: s, session: restored, max: snap.Max, deadline: s.Wheel.Now() + max(snap.Left, grace)}
	restored.Outbox = session.Restore(s.chunks, int(s.Config().Limits.OutboxBytes), r.management(), snap.Sent, snap.Acked, snap.Queue)
	s.streams.add(r)
	s.Registry.Add(restored)
	r.arm(max(snap.Left, grace))
	s.Router.Fire(modules.Restored, restored)
	return nil
}
