package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"strconv"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/storage"
)

// scramState is what the second step needs of the first.
type scramState struct {
	first       clientFirst
	binding     []byte // what has to come in "c=": the header and the binding's data
	nonce       string // the client's followed by ours
	serverFirst string
	credential  storage.Credential
}

// scram is the server side of SCRAM as a mechanism of the frame, which brings
// the nonce, counts the steps and keeps the state between them. The one that
// comes with the frame needs the salted password, with which whoever steals the
// database can log in; this one needs StoredKey and ServerKey.
func (x *Exchange) scram(a *algorithm) sasl.Mechanism {
	return sasl.Mechanism{
		Name: a.mechanism(x.plus),
		Next: func(n *sasl.Negotiator, message []byte, state any) (bool, []byte, any, error) {
			if n.State()&sasl.StepMask == sasl.AuthTextSent {
				return x.scramFirst(a, string(message), string(n.Nonce()))
			}
			s, ok := state.(*scramState)
			if !ok {
				return false, nil, nil, sasl.ErrInvalidState
			}
			return x.scramFinal(a, s, string(message))
		},
	}
}

// scramFirst answers the client-first-message.
func (x *Exchange) scramFirst(a *algorithm, message, nonce string) (bool, []byte, any, error) {
	first, f := parseClientFirst(message)
	if f != nil {
		return false, nil, nil, f
	}
	binding, f := x.bind(&first)
	if f != nil {
		return false, nil, nil, f
	}
	if f := x.claim(first.name, first.authzid); f != nil {
		return false, nil, nil, f
	}
	known, _, err := x.backend.lookup(x.ctx, x.claimed, []algorithm{*a})
	if err != nil {
		return false, nil, nil, unavailable(err)
	}
	s := &scramState{first: first, nonce: first.nonce + nonce, credential: known}
	s.binding = append([]byte(first.gs2), binding...)
	offered := offer(x.backend.Mechanisms(x.conn), x.backend.BindingTypes(x.conn))
	s.serverFirst = "r=" + s.nonce +
		",s=" + base64.StdEncoding.EncodeToString(known.Salt) +
		",i=" + strconv.Itoa(known.Iterations) +
		",h=" + base64.StdEncoding.EncodeToString(a.sum([]byte(offered))) // XEP-0474
	return true, []byte(s.serverFirst), s, nil
}

// scramFinal checks the proof and returns the server's signature.
func (x *Exchange) scramFinal(a *algorithm, s *scramState, message string) (bool, []byte, any, error) {
	final, f := parseClientFinal(message)
	if f != nil {
		return false, nil, nil, f
	}
	signature, ok := s.check(a, final)
	if !ok {
		return false, nil, nil, &Failure{Condition: NotAuthorized}
	}
	if f := x.admit(s.credential); f != nil {
		return false, nil, nil, f
	}
	return false, []byte("v=" + base64.StdEncoding.EncodeToString(signature)), nil, nil
}

// check verifies the client-final-message (RFC 5802 §3) and returns the
// ServerSignature. The same is computed whatever is wrong.
func (s *scramState) check(a *algorithm, final clientFinal) (signature []byte, ok bool) {
	authMessage := s.first.bare + "," + s.serverFirst + "," + final.withoutProof
	clientKey := a.hmac(s.credential.StoredKey, authMessage)
	signature = a.hmac(s.credential.ServerKey, authMessage)

	same := subtle.ConstantTimeEq(int32(len(final.proof)), int32(len(clientKey)))
	subtle.XORBytes(clientKey, clientKey, final.proof)
	same &= subtle.ConstantTimeCompare(a.sum(clientKey), s.credential.StoredKey)
	// RFC 5802 §6: the server must always validate "c=".
	same &= subtle.ConstantTimeCompare(final.binding, s.binding)
	same &= subtle.ConstantTimeCompare([]byte(final.nonce), []byte(s.nonce))
	return signature, same == 1
}
