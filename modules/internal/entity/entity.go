// Package entity is what an entity says of itself in service discovery
// (XEP-0030 with the forms of XEP-0128), and the verification string that stands
// for it (XEP-0115).
package entity

import (
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/modules/internal/dataform"
	"github.com/xmppd/xmppd/stanza"
)

// Node names this software in entity capabilities (XEP-0115 §4).
const Node = "https://github.com/xmppd/xmppd"

// Info is an answer to disco#info. It is not changed once it is in use.
type Info struct {
	Identities []Identity
	Features   []string
	Forms      []dataform.Form
}

// Identity says what kind of entity it is. Lang and Name may be empty.
type Identity struct{ Category, Type, Lang, Name string }

// Write writes the children of the <query/>.
func (i Info) Write(b *stanza.Builder) {
	for _, id := range i.Identities {
		b.Open("identity", "").Attr("category", id.Category).Attr("type", id.Type)
		if id.Lang != "" {
			b.Attr("xml:lang", id.Lang)
		}
		if id.Name != "" {
			b.Attr("name", id.Name)
		}
		b.Close()
	}
	for _, f := range i.Features {
		b.Open("feature", "").Attr("var", f).Close()
	}
	for _, f := range i.Forms {
		f.WriteResult(b)
	}
}

// Ver is the verification string by SHA-1 (XEP-0115 §5.1).
func (i Info) Ver() string {
	var s strings.Builder
	part := func(text string) { s.WriteString(text + "<") }

	identities := slices.SortedFunc(slices.Values(i.Identities), func(a, b Identity) int {
		return cmp.Or(cmp.Compare(a.Category, b.Category), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Lang, b.Lang))
	})
	for _, id := range identities {
		part(id.Category + "/" + id.Type + "/" + id.Lang + "/" + id.Name)
	}
	for _, f := range slices.Sorted(slices.Values(i.Features)) {
		part(f)
	}
	forms := slices.SortedFunc(slices.Values(i.Forms), func(a, b dataform.Form) int { return cmp.Compare(a.Type, b.Type) })
	for _, form := range forms {
		part(form.Type)
		fields := slices.SortedFunc(slices.Values(form.Fields), func(a, b dataform.Field) int { return cmp.Compare(a.Var, b.Var) })
		for _, field := range fields {
			part(field.Var)
			for _, v := range slices.Sorted(slices.Values(field.Values)) {
				part(v)
			}
		}
	}
	sum := sha1.Sum([]byte(s.String()))
	return base64.StdEncoding.EncodeToString(sum[:])
}
