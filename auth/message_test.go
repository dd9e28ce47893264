package auth

import (
	"strings"
	"testing"

	"mellium.im/sasl"
)

func TestClientFirst(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]clientFirst{
		"n,,n=user,r=abc":              {"n,,", 'n', "", "", "user", "abc", "n=user,r=abc"},
		"y,,n=user,r=abc":              {"y,,", 'y', "", "", "user", "abc", "n=user,r=abc"},
		"n,a=u@d,n=user,r=abc":         {"n,a=u@d,", 'n', "", "u@d", "user", "abc", "n=user,r=abc"},
		"n,a=x=3D=2Cy,n=user,r=abc":    {"n,a=x=3D=2Cy,", 'n', "", "x=,y", "user", "abc", "n=user,r=abc"},
		"n,,n==2C=3D=3D2C,r=abc":       {"n,,", 'n', "", "", ",==2C", "abc", "n==2C=3D=3D2C,r=abc"},
		"n,,n=Jürgen,r=~!=":            {"n,,", 'n', "", "", "Jürgen", "~!=", "n=Jürgen,r=~!="},
		"p=tls-exporter,,n=user,r=abc": {"p=tls-exporter,,", 'p', "tls-exporter", "", "user", "abc", "n=user,r=abc"},
		"p=X.9-,a=u,n=user,r=abc":      {"p=X.9-,a=u,", 'p', "X.9-", "u", "user", "abc", "n=user,r=abc"},
		"n,,n=user,r=abc,x=1,h==a=b==": {"n,,", 'n', "", "", "user", "abc", "n=user,r=abc,x=1,h==a=b=="},
	} {
		if got, f := parseClientFirst(in); f != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, f)
		}
	}
	for _, in := range []string{
		"", ",", ",,", "n", "n,", "n,,", "n,,,", "n,,n=user", "n,,n=user,", "n,,n=user,r=",
		",,n=user,r=abc", "x,,n=user,r=abc", "N,,n=user,r=abc", "nn,,n=user,r=abc", " n,,n=user,r=abc",
		"p=,,n=user,r=abc", "p,,n=user,r=abc", "p=tls_unique,,n=user,r=abc", "p=a=b,,n=user,r=abc", "p=ä,,n=user,r=abc", "P=x,,n=user,r=abc",
		"F,n,,n=user,r=abc",
		"n,n=user,r=abc", "n,a=,n=user,r=abc", "n,a,n=user,r=abc", "n,b=u,n=user,r=abc", "n,a=u=2,n=user,r=abc",
		"n,,m=ext,n=user,r=abc", "n,,m=,n=user,r=abc", "n,,m=ext",
		"n,,u=user,r=abc", "n,,n=,r=abc", "n,,n,r=abc", "n,,r=abc,n=user", "n,,a=u,n=user,r=abc",
		"n,,n=us=er,r=abc", "n,,n=user=,r=abc", "n,,n=user=2,r=abc", "n,,n=user=2c,r=abc", "n,,n=user=3d,r=abc", "n,,n=user=20,r=abc",
		"n,,n=user,s=abc", "n,,n=user,r=a c", "n,,n=user,r=a\x7fc", "n,,n=user,r=äöü", "n,,n=user,r=a\tb",
		"n,,n=user,r=abc,", "n,,n=user,r=abc,x", "n,,n=user,r=abc,x=", "n,,n=user,r=abc,1=x", "n,,n=user,r=abc,xx=1",
		"n,,n=user,r=abc,m=ext", "n,,n=user,r=abc,x=1,m=ext", "n,,n=user,r=abc,r=abc", "n,,n=user,r=abc,n=other",
		"n,,n=us\x00er,r=abc", "n,,n=user,r=a\x00c", "n,,n=us\xffer,r=abc", "n,,n=\xc0\xaf,r=abc", "n,,n=user,r=abc,x=\xed\xa0\x80",
		"n,,n=user,r=abc\x00",
	} {
		if got, f := parseClientFirst(in); f == nil || f.Condition != MalformedRequest {
			t.Errorf("%q: %+v, %v", in, got, f)
		}
	}
}

func TestClientFinal(t *testing.T) {
	t.Parallel()
	for in, without := range map[string]string{
		"c=biws,r=abc,p=AAAA":             "c=biws,r=abc",
		"c=biws,r=abc,x=p=1,y=2,p=AAAA":   "c=biws,r=abc,x=p=1,y=2",
		"c=biws,r=abc,p=AA==":             "c=biws,r=abc",
		"c=biws,r=,p=,p=AA==,x=1,p=AAAA=": "",
	} {
		m, f := parseClientFinal(in)
		if without == "" {
			if f == nil {
				t.Errorf("%q accepted", in)
			}
			continue
		}
		if f != nil || m.withoutProof != without || string(m.binding) != "n,," || m.nonce != "abc" {
			t.Errorf("%q: %+v, %v", in, m, f)
		}
	}
	for _, in := range []string{
		"", ",", "c=biws", "c=biws,r=abc", "c=biws,p=AAAA", "r=abc,p=AAAA", "p=AAAA", "c=biws,r=abc,p=", "c=biws,r=abc,p",
		"r=abc,c=biws,p=AAAA", "c=biws,p=AAAA,r=abc", "c=,r=abc,p=AAAA", "c=biws,r=,p=AAAA", "c=biws,r=a c,p=AAAA",
		"c=biw,r=abc,p=AAAA", "c=b*ws,r=abc,p=AAAA", "c=biws\n,r=abc,p=AAAA", "c=biws,r=abc,p=AA\r\nAA", "c=biws,r=abc,p=AB==",
		"c=biws,r=abc,p=AAAA,", "c=biws,r=abc,p=AAAA,x=1", "c=biws,r=abc,p=AAAA,p=AAAA", "c=biws,r=abc,m=ext,p=AAAA",
		"c=biws,r=abc,x,p=AAAA", "c=biws,r=abc,,p=AAAA", "m=ext,c=biws,r=abc,p=AAAA", "c=biws,r=abc,p=AAAA\x00",
		"c=biws,r=abc,x=\xff,p=AAAA", "c=biws,r=abc,x=a\x00b,p=AAAA", "e=other-error",
	} {
		if got, f := parseClientFinal(in); f == nil || f.Condition != MalformedRequest {
			t.Errorf("%q: %+v, %v", in, got, f)
		}
	}
}

// A proof is refused if anything that it covers is not what was agreed on.
func TestProof(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	const bare = "n=romeo,r=abc"
	for name, tc := range map[string]struct {
		gs2       string
		edit      func(string) string
		condition string
	}{
		"right":              {"n,,", nil, ""},
		"with extension":     {"n,,", func(s string) string { return strings.Replace(s, ",p=", ",x=1,p=", 1) }, NotAuthorized},
		"other nonce":        {"n,,", func(s string) string { return strings.Replace(s, "r=abc", "r=abd", 1) }, NotAuthorized},
		"longer nonce":       {"n,,", func(s string) string { return strings.Replace(s, ",p=", "x,p=", 1) }, NotAuthorized},
		"other header":       {"n,,", func(s string) string { return strings.Replace(s, "biws", "eSws", 1) }, NotAuthorized},
		"header of another":  {"y,,", nil, NotAuthorized},
		"authzid not in c":   {"n,a=romeo@example.org,", nil, NotAuthorized},
		"binding data added": {"n,,", func(s string) string { return strings.Replace(s, "biws", "biwsAAAA", 1) }, NotAuthorized},
		"short proof":        {"n,,", func(s string) string { return s[:strings.Index(s, "p=")] + "p=AAAA" }, NotAuthorized},
		"long proof":         {"n,,", func(s string) string { return strings.Replace(s, "p=", "p=AAAA", 1) }, NotAuthorized},
		"zero proof":         {"n,,", func(s string) string { return s[:strings.Index(s, "p=")] + "p=AAAAAAAAAAAAAAAAAAAAAAAAAAA=" }, NotAuthorized},
		"no proof":           {"n,,", func(s string) string { return s[:strings.Index(s, ",p=")] }, MalformedRequest},
		"empty":              {"n,,", func(string) string { return "" }, MalformedRequest},
	} {
		x, err := b.Start(tlsConn, "SCRAM-SHA-1")
		if err != nil {
			t.Fatal(err)
		}
		first, _, err := x.Step(t.Context(), []byte(tc.gs2+bare))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		final, _ := clientProof(t, "SCRAM-SHA-1", password, bare, string(first))
		if tc.edit != nil {
			final = tc.edit(final)
		}
		_, done, err := x.Step(t.Context(), []byte(final))
		if tc.condition == "" {
			if err != nil || !done {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if f, ok := err.(*Failure); !ok || f.Condition != tc.condition || done {
			t.Errorf("%s: done %v, %v", name, done, err)
		}
	}
}

func TestAuthzid(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	for authzid, ok := range map[string]bool{
		"":                       true,
		"romeo@example.org":      true,
		"Romeo@EXAMPLE.org":      true,
		"romeo@example.org/home": false,
		"romeo":                  false,
		"tybalt@example.org":     false,
		"romeo@example.net":      false,
		"example.org":            false,
		"@":                      false,
	} {
		for _, m := range []string{"PLAIN", "SCRAM-SHA-1"} {
			message := authzid + "\x00romeo\x00" + password
			if m != "PLAIN" {
				message = "n,a=" + authzid + ",n=romeo,r=abc"
				if authzid == "" {
					message = "n,,n=romeo,r=abc"
				}
			}
			x, _ := b.Start(tlsConn, m)
			_, _, err := x.Step(t.Context(), []byte(message))
			if ok && err != nil {
				t.Errorf("%s %q: %v", m, authzid, err)
			} else if !ok {
				wantFailure(t, err, InvalidAuthzid)
			}
		}
	}
}

func TestPlainMessage(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	for in, condition := range map[string]string{
		"\x00romeo\x00" + password:                  "",
		"romeo@example.org\x00romeo\x00" + password: "",
		"":                                  MalformedRequest,
		"romeo":                             MalformedRequest,
		"\x00romeo":                         MalformedRequest,
		"\x00romeo\x00":                     MalformedRequest,
		"\x00\x00" + password:               MalformedRequest,
		"\x00\x00":                          MalformedRequest,
		"\x00\x00\x00":                      MalformedRequest,
		"\x00romeo\x00" + password + "\x00": MalformedRequest,
		"\x00romeo\x00a\x00b":               MalformedRequest,
		"\x00ro\xffmeo\x00x":                MalformedRequest,
		"\x00romeo\x00x\xff":                MalformedRequest,
		"\xff\x00romeo\x00x":                MalformedRequest,
		"\x00romeo\x00\x01":                 NotAuthorized,
		"\x00romeo\x00" + strings.Repeat("x", MaxPassword+1): NotAuthorized,
		"\x00" + strings.Repeat("x", 1024) + "\x00x":         NotAuthorized,
		"\x00romeo\x00" + strings.Repeat("x", MaxResponse):   MalformedRequest,
		strings.Repeat("\x00", MaxResponse):                  MalformedRequest,
	} {
		x, _ := b.Start(tlsConn, "PLAIN")
		_, done, err := x.Step(t.Context(), []byte(in))
		if condition == "" {
			if err != nil || !done {
				t.Errorf("%.40q: %v", in, err)
			}
			continue
		}
		if f, ok := err.(*Failure); !ok || f.Condition != condition {
			t.Errorf("%.40q: %v, want %s", in, err, condition)
		}
	}
}

// The order of the steps is the exchange's to keep, whatever a client does.
func TestOrder(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	ctx := t.Context()
	for _, m := range mechs {
		// No initial response: an empty challenge, once.
		x, _ := b.Start(tlsConn, m)
		challenge, done, err := x.Step(ctx, nil)
		if challenge == nil || len(challenge) != 0 || done || err != nil {
			t.Errorf("%s: %q, %v, %v", m, challenge, done, err)
		}
		_, _, err = x.Step(ctx, nil)
		wantFailure(t, err, MalformedRequest)
		// After the end, nothing.
		for range 3 {
			_, _, err = x.Step(ctx, []byte("\x00romeo\x00"+password))
			wantFailure(t, err, MalformedRequest)
		}
		// An initial response without data is none that the mechanism takes.
		x, _ = b.Start(tlsConn, m)
		_, _, err = x.Step(ctx, []byte{})
		wantFailure(t, err, MalformedRequest)

		x, err = login(t, b, tlsConn, m, "romeo", password)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = x.Step(ctx, []byte("n,,n=tybalt,r=abc"))
		wantFailure(t, err, MalformedRequest)
		if x.User() != romeo {
			t.Errorf("%s: user %q after a step too many", m, x.User())
		}
	}
	// The second message first, the first one twice.
	x, _ := b.Start(tlsConn, mechs[0])
	_, _, err := x.Step(ctx, []byte("c=biws,r=abc,p=AAAA"))
	wantFailure(t, err, MalformedRequest)
	x, _ = b.Start(tlsConn, mechs[0])
	if _, _, err = x.Step(ctx, []byte("n,,n=romeo,r=abc")); err != nil {
		t.Fatal(err)
	}
	_, _, err = x.Step(ctx, []byte("n,,n=romeo,r=abc"))
	wantFailure(t, err, MalformedRequest)
	// The empty challenge may be answered by the usual messages.
	x, _ = b.Start(tlsConn, sasl.Plain.Name)
	x.Step(ctx, nil)
	if _, done, err := x.Step(ctx, []byte("\x00romeo\x00"+password)); !done || err != nil {
		t.Errorf("after an empty challenge: %v", err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "nil", "=": "", "AAAA": "\x00\x00\x00", "aGk=": "hi"} {
		got, err := Decode([]byte(in))
		if err != nil || want == "nil" != (got == nil) || got != nil && string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"==", "A", "AA", "AAA", "aGk", "aG k=", "aGk=\n", " aGk=", "aG-_", "aGl=", "aGk=aGk=", "\x00"} {
		_, err := Decode([]byte(in))
		wantFailure(t, err, IncorrectEncoding)
	}
	_, err := Decode([]byte(strings.Repeat("A", 4*MaxResponse)))
	wantFailure(t, err, MalformedRequest)
}
