package xmpptest

import (
	"errors"
	"fmt"

	"github.com/xmppd/xmppd/jid"
)

// enter does what <success/> of SASL2 says: the stream is resumed (XEP-0198 §9),
// or features follow and a resource may have been bound (XEP-0386).
func (c *Client) enter(r *Request, s *Success) (err error) {
	if s.JID, err = jid.Parse(childText(s.Element, nsSASL2, "authorization-identifier")); err != nil || s.JID.Local() == "" {
		return fmt.Errorf("no authorization identifier: %w in\n%s", err, s.Element)
	}
	s.Token = s.Child(nsFAST, "token")
	resumed, bound := s.Child(nsSM, "resumed"), s.Child(nsBind2, "bound")
	failed := s.Child(nsSM, "failed")
	switch {
	case resumed != nil && (bound != nil || failed != nil || r.Resume == nil):
		return fmt.Errorf("resumed, and more:\n%s", s.Element)
	case resumed != nil:
		s.Resumed = true
		if s.JID != r.Resume.JID && s.JID != r.Resume.JID.Bare() {
			return fmt.Errorf("resumed another session: %s", s.JID)
		}
		return c.carryOn(r.Resume, resumed)
	case r.Resume != nil && failed == nil:
		return fmt.Errorf("neither resumed nor failed:\n%s", s.Element)
	case (bound != nil) != (r.Bind != nil):
		return fmt.Errorf("bind is wanted: %v, but:\n%s", r.Bind != nil, s.Element)
	case bound != nil:
		if err := c.enterBound(r.Bind, s.JID, bound); err != nil {
			return err
		}
	case s.JID.Resource() != "":
		return fmt.Errorf("a resource without <bound/>: %s", s.JID)
	}
	return c.features()
}

func (c *Client) enterBound(b *Bind, full jid.JID, bound *Element) error {
	if full.Resource() == "" {
		return errors.New("<bound/> without a resource")
	}
	if b.Manage {
		e := bound.Child(nsSM, "enabled")
		if e == nil {
			return fmt.Errorf("no <enabled/>:\n%s", bound)
		}
		if err := c.manage(e, true); err != nil {
			return err
		}
	}
	// Nothing asks for this answer but clients that exist.
	if b.Carbons && bound.Child(nsCarbons, "enabled") == nil {
		return fmt.Errorf("carbons were not confirmed:\n%s", bound)
	}
	c.inactive = b.Inactive
	c.bound(full)
	return nil
}

// bound notes the address of the client's session.
func (c *Client) bound(full jid.JID) {
	c.JID = full
	if c.server != nil {
		c.gone = c.server.ended(full)
	}
}

func childText(e *Element, space, name string) string {
	if e = e.Child(space, name); e == nil {
		return ""
	}
	return e.Text()
}
