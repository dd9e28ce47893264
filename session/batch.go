package session

// Batch remembers the sessions that were touched while a burst was worked
// through, so that each is flushed once. The zero value is ready. It belongs
// to one goroutine.
type Batch struct{ touched []*Session }

// Touch notes that bytes were queued for the session.
func (b *Batch) Touch(s *Session) {
	// The same few sessions come again and again; look at the newest first.
	for i := len(b.touched) - 1; i >= 0 && i >= len(b.touched)-8; i-- {
		if b.touched[i] == s {
			return
		}
	}
	b.touched = append(b.touched, s)
}

// Flush flushes every touched session and forgets them.
func (b *Batch) Flush() {
	for i, s := range b.touched {
		s.Outbox.Flush()
		b.touched[i] = nil
	}
	b.touched = b.touched[:0]
}
