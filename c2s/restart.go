package c2s

import (
	"context"
	"fmt"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
)

// halt lets no further burst begin and waits for the one that runs.
func (c *conn) halt() {
	c.reading.Lock()
	c.halted = true
	c.reading.Unlock()
}

// keep writes the sessions that clients may resume after a planned restart and
// lets go of their connections without ending their streams (DESIGN §5.2). On
// an error the sessions are left as they are, but read nothing more.
func (s *Server) keep(ctx context.Context, all []*stream) error {
	rows := make([]storage.Snapshot, 0, len(all))
	conns := make([]*conn, 0, len(all))
	for _, r := range all {
		if c := r.stop(); c != nil {
			conns = append(conns, c)
		}
	}
	for _, r := range all {
		row, err := r.snapshot()
		if err != nil {
			return err
		}
		if row != nil {
			rows = append(rows, *row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := s.Store.SaveSnapshots(ctx, rows); err != nil {
		return fmt.Errorf("save sessions: %w", err)
	}
	for _, c := range conns {
		c.released.Store(true)
		c.t.Cut(errStopping)
	}
	s.Log.Info("sessions kept for the next start", "sessions", len(rows))
	return nil
}

// stop ends reading for the session, tells the client what was handled and
// returns the connection, nil if there is none. No other connection can take the
// session over any more.
func (r *stream) stop() *conn {
	r.taking.Lock() // for ever
	r.mu.Lock()
	c := r.conn
	r.mu.Unlock()
	if c == nil {
		return nil
	}
	c.halt()
	r.session.Outbox.Append([]byte("<a xmlns='" + nsSM + "' h='" + utoa(r.session.Stream.H) + "'/>"))
	r.session.Outbox.Flush()
	return c
}

// snapshot is the row of a session that has not ended.
func (r *stream) snapshot() (*storage.Snapshot, error) {
	r.mu.Lock()
	left := r.max
	if r.conn == nil {
		left = r.deadline - r.srv.Wheel.Now()
	}
	over := r.over || r.session.Outbox.Closed()
	r.mu.Unlock()
	if over {
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
	restored.Outbox = session.Restore(s.chunks, int(s.Config().Limits.OutboxBytes), r.management(), snap.Sent, snap.Acked, snap.Pending())
	s.streams.add(r)
	s.Registry.Add(restored)
	r.arm(max(snap.Left, grace))
	s.Router.Fire(modules.Restored, restored)
	return nil
}
