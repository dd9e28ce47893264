package offline

// Wait returns when the deliveries that nobody waits for have ended.
func (m *Module) Wait() { m.going.Wait() }
