// Package contact publishes whom to write to about the service, as a form in the
// domain's service discovery: XEP-0157, Contact Addresses for XMPP Services.
package contact

import (
	"net/url"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/dataform"
)

// FormType is the name of the form (XEP-0157 §3).
const FormType = "http://jabber.org/network/serverinfo"

// Options are modules.contact.*: lists of URIs such as mailto:abuse@example.org
// and xmpp:admin@example.org.
type Options struct {
	Abuse    []string `key:"abuse" doc:"Where to report abuse, as URIs such as mailto:abuse@example.org."`
	Admin    []string `key:"admin" doc:"URIs of the administrators."`
	Feedback []string `key:"feedback" doc:"URIs for feedback of users."`
	Sales    []string `key:"sales" doc:"URIs for sales and marketing."`
	Security []string `key:"security" doc:"Where to report security problems, as URIs."`
	Status   []string `key:"status" doc:"URIs that show whether the service works."`
	Support  []string `key:"support" doc:"URIs for users who need help."`
}

// Module is the feature; see New.
type Module struct{ form dataform.Form }

// New makes the module.
func New() *Module { return &Module{} }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name:    "contact",
		Doc:     "Publishes contact addresses of the service.",
		XEPs:    []modules.XEP{{Number: 157, Version: "1.1.1"}},
		Options: &Options{},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	var o Options
	if err := h.Config(&o); err != nil {
		return err
	}
	m.form.Type = FormType
	for _, list := range []struct {
		key  string
		uris []string
	}{
		{"abuse", o.Abuse}, {"admin", o.Admin}, {"feedback", o.Feedback}, {"sales", o.Sales},
		{"security", o.Security}, {"status", o.Status}, {"support", o.Support},
	} {
		for _, s := range list.uris {
			if u, err := url.Parse(s); err != nil || u.Scheme == "" {
				return h.UserError(list.key, "%q is no URI such as mailto:%s@%s", s, list.key, h.Domain)
			}
		}
		if len(list.uris) > 0 {
			m.form.Fields = append(m.form.Fields, dataform.Field{Var: list.key + "-addresses", Values: list.uris})
		}
	}
	return nil
}

// Form is what the domain says; false if no address is configured.
func (m *Module) Form() (dataform.Form, bool) { return m.form, len(m.form.Fields) > 0 }
