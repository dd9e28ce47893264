package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/delay"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/disco/items"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/roster"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
	"mellium.im/xmpp/version"
	"mellium.im/xmpp/xtime"
)

// mellium is a client on mellium.im/xmpp.
type mellium struct {
	session *xmpp.Session
	seen    chan event
	served  chan struct{} // closed when the session has ended
	ends    []context.CancelFunc
}

func startMellium(t *testing.T) client {
	m := &mellium{seen: make(chan event, 4096)}
	t.Cleanup(m.kill)
	return m
}

// lasting has the deadline of a context and does not end with it. mellium.im/xmpp v0.23.0
// may take a context that ends right behind a call for one that ended in it, and then
// fails the next write.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	until, _ := ctx.Deadline()
	return context.WithDeadline(context.WithoutCancel(ctx), until)
}

func (m *mellium) events() <-chan event { return m.seen }

func (m *mellium) kill() {
	defer func() {
		for _, end := range m.ends {
			end()
		}
	}()
	if m.session != nil {
		_ = m.session.Conn().Close()
		<-m.served
	}
}

func (m *mellium) do(ctx context.Context, r request) (answer, error) {
	ctx, end := lasting(ctx)
	m.ends = append(m.ends, end)
	if r.Do == "login" {
		return m.login(ctx, r)
	}
	var to jid.JID
	if r.To != "" {
		to = jid.MustParse(r.To)
	}
	switch r.Do {
	case "presence":
		p := stanza.Presence{To: to, Type: stanza.PresenceType(r.Type)}
		return answer{}, m.session.Send(ctx, p.Wrap(xmlstream.MultiReader(text("show", r.Show), text("status", r.Status))))
	case "message":
		s := stanza.Message{ID: r.ID, To: to, Type: stanza.MessageType(r.Type)}
		return answer{}, m.session.Send(ctx, s.Wrap(text("body", r.Body)))
	case "close":
		err := m.session.Close()
		select {
		case <-m.served:
			return answer{}, errors.Join(err, m.session.Conn().Close())
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
	return m.query(ctx, r.Do, to)
}

// text is an element with text, or nothing.
func text(name, content string) xml.TokenReader {
	if content == "" {
		return xmlstream.MultiReader()
	}
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(content)), xml.StartElement{Name: xml.Name{Local: name}})
}

func (m *mellium) login(ctx context.Context, r request) (answer, error) {
	pem, err := os.ReadFile(r.CA)
	if err != nil {
		return answer{}, err
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost", NextProtos: []string{"xmpp-client"}}
	trust.RootCAs.AppendCertsFromPEM(pem)
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(r.Host, strconv.Itoa(r.Port)))
	if err != nil {
		return answer{}, err
	}
	features := []xmpp.StreamFeature{xmpp.SASL("", r.Password, sasl.ScramSha256Plus), xmpp.BindResource(), roster.Versioning()}
	if r.TLS == "direct" {
		conn = tls.Client(conn, trust)
	} else {
		features = append(features, xmpp.StartTLS(trust))
	}
	self, err := jid.MustParse(r.JID).WithResource(r.Resource)
	if err != nil {
		return answer{}, err
	}
	if m.session, err = xmpp.NewClientSession(ctx, self, conn, features...); err != nil {
		m.session = nil
		_ = conn.Close()
		return answer{}, err
	}
	m.served = make(chan struct{})
	go m.serve()
	return answer{JID: m.session.LocalAddr().String(), Mechanism: sasl.ScramSha256Plus.Name}, nil
}

type message struct {
	stanza.Message
	Body  string       `xml:"body"`
	Delay *delay.Delay `xml:"urn:xmpp:delay delay"`
	Sign  struct {
		ID string `xml:"id,attr"`
	} `xml:"urn:xmpp:sid:0 stanza-id"`
}

type presence struct {
	stanza.Presence
	Show   string `xml:"show"`
	Status string `xml:"status"`
}

// serve reads the stream to its end.
func (m *mellium) serve() {
	defer close(m.served)
	queries := mux.New(stanza.NSClient, ping.Handle(), disco.Handle(), version.Handle(version.Query{Name: "mellium"}),
		roster.Handle(roster.Handler{Push: func(_ string, item roster.Item) error {
			m.seen <- event{Event: "roster", JID: item.JID.String(), Subscription: item.Subscription}
			return nil
		}}))
	err := m.session.Serve(xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		d := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(*start), t))
		switch start.Name.Local {
		case "message":
			var s message
			if err := d.Decode(&s); err != nil {
				return err
			}
			e := event{Event: "message", From: s.From.String(), Type: string(s.Type), ID: s.ID, Body: s.Body, StanzaID: s.Sign.ID}
			if s.Delay != nil {
				e.Delay = s.Delay.Time.Format(time.RFC3339)
			}
			m.seen <- e
		case "presence":
			var s presence
			if err := d.Decode(&s); err != nil {
				return err
			}
			m.seen <- event{Event: "presence", From: s.From.String(), Type: string(s.Type), Show: s.Show, Status: s.Status}
		default:
			return queries.HandleXMPP(t, start)
		}
		return nil
	}))
	if e, ok := errors.AsType[stream.Error](err); ok {
		m.seen <- event{Event: "stream-error", Type: e.Err}
	}
	m.seen <- event{Event: "closed", Body: fmt.Sprint(err)}
}

func (m *mellium) query(ctx context.Context, what string, to jid.JID) (a answer, err error) {
	switch what {
	case "ping":
		return a, ping.Send(ctx, m.session, to)
	case "version":
		v, err := version.Get(ctx, m.session, to)
		return answer{Name: v.Name, Version: v.Version}, err
	case "time":
		at, err := xtime.Get(ctx, m.session, to)
		return answer{UTC: at.UTC().Format(time.RFC3339), TZO: at.Format("-07:00")}, err
	case "disco":
		info, err := disco.GetInfo(ctx, "", to, m.session)
		for _, i := range info.Identity {
			a.Identities = append(a.Identities, i.Category+"/"+i.Type)
		}
		for _, f := range info.Features {
			a.Features = append(a.Features, f.Var)
		}
		return a, err
	case "items":
		iter := disco.FetchItems(ctx, items.Item{JID: to}, m.session)
		for iter.Next() {
			a.Items = append(a.Items, iter.Item().JID.String())
		}
		return a, errors.Join(iter.Err(), iter.Close())
	case "roster":
		iter := roster.Fetch(ctx, m.session)
		for iter.Next() {
			i := iter.Item()
			a.Contacts = append(a.Contacts, contact{JID: i.JID.String(), Subscription: i.Subscription, Name: i.Name})
		}
		return a, errors.Join(iter.Err(), iter.Close())
	}
	return a, fmt.Errorf("%q is no request", what)
}
