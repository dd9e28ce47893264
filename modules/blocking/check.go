package blocking

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// refuseSent refuses what an account sends to somebody whom it has blocked
// (XEP-0191 §3.3).
func (d *domain) refuseSent(f *modules.Flight) error {
	if f.To.IsZero() {
		return nil
	}
	blocked, err := d.Blocked(f.Ctx, f.Owner, f.To)
	if err != nil {
		return err
	}
	if blocked {
		e := stanza.NotAcceptable("")
		e.Type = stanza.TypeCancel
		return e.WithApp([]byte("<blocked xmlns='" + nsErrors + "'/>"))
	}
	if f.Stanza.Kind == stanza.IQ && f.To.Local() != "" && (f.To.IsBare() || !isRequest(f.Stanza)) {
		return d.refuseIQ(f)
	}
	return nil
}

// refuseIQ stands in for refuseReceived where an IQ has no Received side:
// requests that the server answers for an account, and answers.
func (d *domain) refuseIQ(f *modules.Flight) error {
	blocked, err := d.Blocked(f.Ctx, f.To.Bare(), f.From)
	switch {
	case err != nil || !blocked:
		return err
	case isRequest(f.Stanza):
		return stanza.ServiceUnavailable("")
	}
	return modules.Stop
}

// refuseReceived keeps from an account what comes from somebody whom it has
// blocked. The sender is not to tell that from an account that is away
// (XEP-0191 §3.3).
func (d *domain) refuseReceived(f *modules.Flight) error {
	blocked, err := d.Blocked(f.Ctx, f.Owner, f.From)
	if err != nil || !blocked {
		return err
	}
	t := f.Stanza.Type
	switch f.Stanza.Kind {
	case stanza.Presence:
		if t == stanza.Unsubscribe || t == stanza.Unsubscribed {
			return nil // modules/roster lets it take effect and nobody see it
		}
		return modules.Stop
	case stanza.Message:
		if t == stanza.Headline || t == stanza.ErrorType {
			return modules.Stop
		}
		if t == stanza.Groupchat && f.Session == nil {
			return modules.Stop // a room would take an error for the end of its occupant
		}
	case stanza.IQ:
		if !isRequest(f.Stanza) {
			return modules.Stop
		}
	}
	return stanza.ServiceUnavailable("")
}

func isRequest(st *stanza.Stanza) bool { return st.Type == stanza.Get || st.Type == stanza.Set }
