package all

import (
	"fmt"
	"strings"
)

// Markdown is docs/MODULES.md: what each module does, out of the same Info
// that configuration and service discovery use.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Modules\n\nGenerated from the modules themselves (`make docs`); do not edit.\n\n" +
		"A module is a folder below `modules/`, is on unless `modules.NAME.enabled` is `false`, and has its\n" +
		"options under `modules.NAME` (see [CONFIG.md](CONFIG.md)). They are listed in the order in which\n" +
		"their handlers are attached.\n\n| module | what it does | specification | features |\n|---|---|---|---|\n")
	for _, i := range Infos() {
		var xeps, features []string
		for _, x := range i.XEPs {
			xeps = append(xeps, fmt.Sprintf("[XEP-%04d](https://xmpp.org/extensions/xep-%04d.html) %s", x.Number, x.Number, x.Version))
		}
		for _, f := range i.Features {
			features = append(features, "`"+f+"`")
		}
		for _, f := range i.AccountFeatures {
			features = append(features, "`"+f+"` (account)")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", i.Name, i.Doc, strings.Join(xeps, ", "), strings.Join(features, "<br>"))
	}
	b.WriteString("\nThe server itself implements RFC 6120, RFC 6121, RFC 7395 and RFC 7622 for clients, and\n" +
		"[XEP-0368](https://xmpp.org/extensions/xep-0368.html) (direct TLS) and\n" +
		"[XEP-0478](https://xmpp.org/extensions/xep-0478.html) (stream limits).\n")
	return b.String()
}
