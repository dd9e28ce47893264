package auth

import (
	"context"
	"crypto/tls"
	"slices"
	"testing"
)

// serverOnly is the server's share of a SCRAM login: the client's proof is made
// once for a nonce that is used again and again.
func serverOnly(t testing.TB, mechanism string) func() error {
	b, _ := open(t)
	a := algorithmOf(mechanism)
	const bare = "n=romeo,r=fyko+d2lbbFgONRv9qkxdawL"
	run := func(final string) (string, error) {
		x, err := b.Start(tlsConn, mechanism)
		if err != nil {
			return "", err
		}
		x.ctx = context.Background()
		_, first, state, err := x.scramFirst(a, "n,,"+bare, "3rfcNHYJY1ZVvWVs7j1234")
		if err != nil || final == "" {
			return string(first), err
		}
		_, _, _, err = x.scramFinal(a, state.(*scramState), final)
		return "", err
	}
	first, err := run("")
	if err != nil {
		t.Fatal(err)
	}
	final, _ := clientProof(t, mechanism, password, bare, first)
	return func() error {
		_, err := run(final)
		return err
	}
}

func BenchmarkSCRAM(b *testing.B) {
	for _, m := range mechs[:3] {
		b.Run(m, func(b *testing.B) {
			run := serverOnly(b, m)
			b.ReportAllocs()
			for b.Loop() {
				if err := run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDerive(b *testing.B) {
	backend, err := New(b.Context(), newMemory(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := backend.Derive(b.Context(), password); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlain(b *testing.B) {
	backend, err := New(b.Context(), newMemory(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := backend.Register(b.Context(), romeo, password); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := login(b, backend, tlsConn, "PLAIN", "romeo", password); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAllocations(t *testing.T) {
	run := serverOnly(t, "SCRAM-SHA-1")
	if n := testing.AllocsPerRun(100, func() {
		if err := run(); err != nil {
			t.Error(err)
		}
	}); n > 76 {
		t.Errorf("a SCRAM exchange allocates %v times", n)
	}
	run = withToken(t)
	if n := testing.AllocsPerRun(100, func() {
		if err := run(); err != nil {
			t.Error(err)
		}
	}); n > 68 {
		t.Errorf("a login with a token allocates %v times", n)
	}
}

// withToken is a login with a token that is in use.
func withToken(t testing.TB) func() error {
	b, _ := open(t)
	const m = "HT-SHA-512-EXPR"
	token := issue(t, b, phone, m)
	if _, err := redeem(t, b, m, "romeo", token.Secret, by(phone)); err != nil {
		t.Fatal(err)
	}
	message := slices.Concat([]byte("romeo\x00"), hashedMAC(m, token.Secret, "Initiator"))
	return func() error {
		x, err := b.StartToken(bound, m, by(phone))
		if err == nil {
			_, _, err = x.Step(context.Background(), message)
		}
		return err
	}
}

func BenchmarkToken(b *testing.B) {
	run := withToken(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTLSBindings(b *testing.B) {
	cert := certificate(b, ecdsaKey(b), 0)
	state := tls.ConnectionState{HandshakeComplete: true, Version: tls.VersionTLS13}
	b.ReportAllocs()
	for b.Loop() {
		TLSBindings(&state, cert.Certificate[0])
	}
}

// FuzzStep feeds an exchange two messages. Only the right password may end it
// well, and neither a message nor its order may make it panic.
func FuzzStep(f *testing.F) {
	f.Add(uint8(0), []byte("n,,n=romeo,r=abc"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add(uint8(1), []byte("y,a=romeo@example.org,n=romeo=2C,r=abc,x=y"), []byte("c=biws,r=abc,x=y,p=AAAA"))
	f.Add(uint8(2), []byte("p=tls-exporter,,m=x,n=romeo,r=abc"), []byte(nil))
	f.Add(uint8(3), []byte("\x00romeo\x00x"), []byte("\x00romeo\x00y"))
	f.Add(uint8(3), []byte(nil), []byte("romeo@example.org\x00romeo\x00\xc2\xad"))
	f.Add(uint8(4), []byte("p=tls-exporter,,n=romeo,r=abc"), []byte("c=cD10bHMtZXhwb3J0ZXIsLGV4cG9ydGVk,r=abc,p=AAAA"))
	f.Add(uint8(5), []byte("p=tls-unique,a=romeo,n=romeo,r=abc"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add(uint8(6), []byte("y,,n=romeo,r=abc"), []byte(nil))
	for i := range hashed {
		f.Add(uint8(7+i), append([]byte("romeo\x00"), make([]byte, 32)...), append([]byte("romeo@example.org\x00"), make([]byte, 64)...))
	}
	b, _ := open(f)
	issue(f, b, phone, hashed[1])
	all := slices.Concat(mechs, plus, hashed)
	f.Fuzz(func(t *testing.T, mechanism uint8, first, second []byte) {
		name := all[int(mechanism)%len(all)]
		x, err := b.Start(bound, name)
		if slices.Contains(hashed, name) {
			x, err = b.StartToken(bound, name, by(phone))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range [][]byte{first, second, second, first} {
			challenge, done, err := x.Step(t.Context(), message)
			if _, ok := err.(*Failure); err != nil && !ok {
				t.Fatalf("%T: %v", err, err)
			}
			if done && name != "PLAIN" {
				t.Fatalf("logged in as %q with %q, %q", x.User(), first, second)
			}
			if done != !x.User().IsZero() && err == nil {
				t.Fatalf("done %v, user %q", done, x.User())
			}
			if err != nil && challenge != nil {
				t.Fatalf("challenge %q with %v", challenge, err)
			}
		}
	})
}
