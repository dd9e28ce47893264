package auth

import (
	"unicode/utf8"

	"mellium.im/sasl"
)

// permitPlain is the permission callback of sasl.Plain, which has split the
// message at its two NULs (RFC 4616 §2). Why it says no is left in x.refusal.
func (x *Exchange) permitPlain(n *sasl.Negotiator) bool {
	name, password, authzid := n.Credentials()
	x.refusal = x.checkPlain(name, password, authzid)
	return x.refusal == nil
}

func (x *Exchange) checkPlain(name, password, authzid []byte) *Failure {
	if len(name) == 0 || len(password) == 0 {
		return malformed("name or password missing")
	}
	if !utf8.Valid(name) || !utf8.Valid(password) || !utf8.Valid(authzid) {
		return malformed("invalid UTF-8")
	}
	if f := x.claim(string(name), string(authzid)); f != nil {
		return f
	}
	used, ok, err := x.backend.verify(x.ctx, x.claimed, string(password))
	if err != nil {
		return unavailable(err)
	}
	if !ok {
		return &Failure{Condition: NotAuthorized}
	}
	if f := x.admit(used); f != nil {
		return f
	}
	x.complete(string(password))
	return nil
}
