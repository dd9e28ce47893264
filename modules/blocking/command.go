package blocking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const stamp = "2006-01-02T15:04:05.999999Z" // XEP-0082 §3.2

// commands declares the admin commands. ejabberd has none of these.
func (d *domain) commands() {
	state := command.Arg{Name: "state", Type: command.String, Doc: "Which reports: open (the default), closed or all", Example: "open", Optional: true}
	d.h.Command(command.Command{
		Name: "get_blocklist", Tags: []string{"blocking"}, Short: "List the addresses that an account has blocked",
		Args: []command.Arg{
			{Name: "user", Type: command.User, Doc: "User name", Example: "juliet"},
			{Name: "host", Type: command.Host, Doc: "Domain", Example: "example.org"},
		},
		Result:  command.ListOf("blocklist", command.TextOf("jid")),
		Example: "tybalt@example.org\nspam.example.net",
		Run:     d.listBlocked,
	})
	d.h.Command(command.Command{
		Name: "list_reports", Tags: []string{"blocking", "reports"}, Short: "List the reports of spam and abuse",
		Long: "One line for each: number, time, who reported, who was reported, reason, number of messages that are named, " +
			"state, text, number of these messages that are kept. export_reports has all that was reported.",
		Args: []command.Arg{state},
		Result: command.ListOf("reports", command.TupleOf("report", command.IntOf("id"), command.TextOf("time"),
			command.TextOf("reporter"), command.TextOf("reported"), command.TextOf("reason"), command.IntOf("messages"),
			command.TextOf("state"), command.TextOf("text"), command.IntOf("copies"))),
		Example: "17\t2026-07-14T23:08:25Z\tjuliet@example.org\ttybalt@example.net\turn:xmpp:reporting:spam\t2\topen\tHe sells swords.\t1",
		Run:     d.listReports,
	})
	d.h.Command(command.Command{
		Name: "export_reports", Tags: []string{"blocking", "reports"}, Short: "Print reports of spam and abuse as JSON, whole",
		Long: "An array of objects. copies are the messages that are named, as far as the archive of the reporter had them. to_origin and third_party say whether the reporter agreed that the report is handed on " +
			"to the server of the reported, or to others; without that it must not be (XEP-0377).",
		Args: []command.Arg{state}, Result: command.TextOf("json"),
		Example: `[{"id":17,"time":"2026-07-14T23:08:25Z","reporter":"juliet@example.org","reported":"tybalt@example.net",` +
			`"reason":"urn:xmpp:reporting:spam","texts":[{"lang":"en","text":"He sells swords."}],` +
			`"messages":[{"by":"juliet@example.org","id":"AAAAAAAAAAAAAAAAAAAAAQ"}],` +
			`"copies":[{"id":"AAAAAAAAAAAAAAAAAAAAAQ","time":"2026-07-14T23:07:01Z","xml":"<message><body>Buy swords!</body></message>"}],` +
			`"to_origin":false,"third_party":false,"state":"open"}]`,
		Run: d.exportReports,
	})
	d.h.Command(command.Command{
		Name: "close_report", Tags: []string{"blocking", "reports"}, Short: "Close a report of spam or abuse",
		Args: []command.Arg{
			{Name: "id", Type: command.Int, Doc: "Number of the report", Example: "17"},
			{Name: "comment", Type: command.String, Doc: "What was done", Example: "account banned", Optional: true},
		},
		Result: command.Code(), Run: d.closeReport,
	})
}

func (d *domain) listBlocked(ctx context.Context, a command.Args) (any, error) {
	owner, err := d.h.Account(a, "user", "host")
	if err != nil {
		return nil, err
	}
	ok, err := d.h.Exists(ctx, owner)
	if err == nil && !ok {
		err = command.Errorf(command.NotFound, "no account %s", owner)
	}
	if err != nil {
		return nil, err
	}
	rows, err := d.store.Blocklists(ctx, []jid.JID{owner})
	if err != nil {
		return nil, err
	}
	blocked := make([]string, len(rows))
	for i := range rows {
		blocked[i] = rows[i].JID.String()
	}
	return blocked, nil
}

// reports calls each for every report in the state that an argument names.
func (d *domain) reports(ctx context.Context, a command.Args, each func(*storage.Report)) error {
	states := map[string]storage.ReportState{
		"": storage.OpenReports, "open": storage.OpenReports, "closed": storage.ClosedReports, "all": storage.AllReports,
	}
	state, ok := states[a.String("state")]
	if !ok {
		return command.Errorf(command.Usage, "state must be open, closed or all, not %q", a.String("state"))
	}
	for after := int64(0); ; {
		rows, err := d.store.Reports(ctx, state, after, page)
		if err != nil {
			return err
		}
		for i := range rows {
			each(&rows[i])
			after = rows[i].ID
		}
		if len(rows) < page {
			return nil
		}
	}
}

func stateOf(r *storage.Report) string {
	if r.Closed.IsZero() {
		return "open"
	}
	return "closed"
}

func (d *domain) listReports(ctx context.Context, a command.Args) (any, error) {
	list := []command.Row{}
	err := d.reports(ctx, a, func(r *storage.Report) {
		text := ""
		if len(r.Texts) > 0 {
			text = r.Texts[0].Text
		}
		list = append(list, command.Row{r.ID, r.Created.UTC().Format(stamp), r.Reporter.String(), r.Reported.String(),
			r.Reason, len(r.Messages), stateOf(r), text, len(r.Copies)})
	})
	return list, err
}

// exported is a report as export_reports prints it.
type exported struct {
	ID         int64                `json:"id"`
	Time       time.Time            `json:"time"`
	Reporter   string               `json:"reporter"`
	Reported   string               `json:"reported"`
	Reason     string               `json:"reason"`
	Texts      []storage.ReportText `json:"texts,omitempty"`
	Messages   []storage.StanzaID   `json:"messages,omitempty"`
	Copies     []storage.ReportCopy `json:"copies,omitempty"`
	ToOrigin   bool                 `json:"to_origin"`
	ThirdParty bool                 `json:"third_party"`
	State      string               `json:"state"`
	Closed     *time.Time           `json:"closed,omitempty"`
	Comment    string               `json:"comment,omitempty"`
}

func (d *domain) exportReports(ctx context.Context, a command.Args) (any, error) {
	all := []exported{}
	err := d.reports(ctx, a, func(r *storage.Report) {
		e := exported{
			ID: r.ID, Time: r.Created.UTC(), Reporter: r.Reporter.String(), Reported: r.Reported.String(), Reason: r.Reason,
			Texts: r.Texts, Messages: r.Messages, Copies: r.Copies, ToOrigin: r.ToOrigin, ThirdParty: r.ThirdParty,
			State: stateOf(r), Comment: r.Comment,
		}
		if !r.Closed.IsZero() {
			e.Closed = &r.Closed
		}
		all = append(all, e)
	})
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("encode reports: %w", err)
	}
	return string(b), nil
}

func (d *domain) closeReport(ctx context.Context, a command.Args) (any, error) {
	err := d.store.CloseReport(ctx, a.Int("id"), d.h.Now(), a.String("comment"))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, command.Errorf(command.NotFound, "there is no open report %d", a.Int("id"))
	}
	return nil, err
}
