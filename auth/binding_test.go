package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// bound is a connection with channel binding, whose data is made up.
var bound = Conn{Domain: domain, TLS: true, Addr: home, Bindings: []Binding{
	{tlsExporter, func() ([]byte, error) { return []byte("exported"), nil }},
	{tlsEndPoint, func() ([]byte, error) { return []byte("end point"), nil }},
}}

func TestBindingTypes(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	if got := b.BindingTypes(bound); !slices.Equal(got, []string{"tls-exporter", "tls-server-end-point"}) {
		t.Errorf("%q", got)
	}
	if got := b.BindingTypes(tlsConn); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

// Every flag with every kind of mechanism and connection.
func TestBindingFlags(t *testing.T) {
	t.Parallel()
	b, store := open(t)
	broken := bound
	broken.Bindings = []Binding{{tlsExporter, func() ([]byte, error) { return nil, errBroke }}}
	for _, tc := range []struct {
		conn      Conn
		mechanism string
		gs2, data string // that the client binds to
		condition string
	}{
		{bound, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "exported", ""},
		{bound, "SCRAM-SHA-512-PLUS", "p=tls-server-end-point,,", "end point", ""},
		{bound, "SCRAM-SHA-1-PLUS", "p=tls-exporter,a=romeo@example.org,", "exported", ""},
		{bound, "SCRAM-SHA-256", "n,,", "", ""}, // cannot, or has none of the types
		{tlsConn, "SCRAM-SHA-256", "n,,", "", ""},
		{tlsConn, "SCRAM-SHA-256", "y,,", "", ""},

		{bound, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "end point", NotAuthorized},
		{bound, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", "exported", NotAuthorized},
		{bound, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "exportee", NotAuthorized},
		{bound, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "exporte", NotAuthorized},
		{bound, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "exportedx", NotAuthorized},
		{bound, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "", NotAuthorized},
		{bound, "SCRAM-SHA-256", "n,,", "exported", NotAuthorized},

		{bound, "SCRAM-SHA-256-PLUS", "p=tls-unique,,", "exported", MalformedRequest},
		{bound, "SCRAM-SHA-256-PLUS", "p=TLS-EXPORTER,,", "exported", MalformedRequest},
		{bound, "SCRAM-SHA-256-PLUS", "n,,", "", MalformedRequest},
		{bound, "SCRAM-SHA-256-PLUS", "y,,", "", MalformedRequest},
		{bound, "SCRAM-SHA-256", "y,,", "", MalformedRequest},
		{bound, "SCRAM-SHA-256", "p=tls-exporter,,", "exported", MalformedRequest},
		{tlsConn, "SCRAM-SHA-256", "p=tls-exporter,,", "exported", MalformedRequest},
		{broken, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", "exported", TemporaryAuthFailure},
		{broken, "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", "", MalformedRequest},
		{broken, "SCRAM-SHA-256", "n,,", "", ""},
	} {
		name := fmt.Sprintf("%s %s%q, %d types", tc.mechanism, tc.gs2, tc.data, len(tc.conn.Bindings))
		x, err := b.Start(tc.conn, tc.mechanism)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		const bare = "n=romeo,r=abc"
		challenge, done, err := x.Step(t.Context(), []byte(tc.gs2+bare))
		if err == nil {
			final, _ := boundProof(t, tc.mechanism, password, tc.gs2+tc.data, bare, string(challenge))
			_, done, err = x.Step(t.Context(), []byte(final))
		}
		if tc.condition != "" {
			if f, ok := errors.AsType[*Failure](err); !ok || f.Condition != tc.condition || done {
				t.Errorf("%s: done %v, %v, want %s", name, done, err, tc.condition)
			}
		} else if err != nil || !done {
			t.Errorf("%s: done %v, %v", name, done, err)
		}
		b.Succeeded(home, romeo)
	}
	// Whether the account exists shows in none of them.
	store.change(func() { store.err = errBroke })
	for _, gs2 := range []string{"y,,", "p=tls-unique,,"} {
		x, _ := b.Start(bound, "SCRAM-SHA-256")
		_, _, err := x.Step(t.Context(), []byte(gs2+"n=romeo,r=abc"))
		wantFailure(t, err, MalformedRequest)
	}
}

// The full example of XEP-0474 §6.3.
func TestDowngradeProtection(t *testing.T) {
	t.Parallel()
	decoded := func(s string) string {
		t.Helper()
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	clientFirst := decoded("cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPTEyQzRDRDVDLUUzOEUtNEE5OC04RjZELTE1QzM4RjUxQ0NDNg==")
	serverFirst := decoded("cj0xMkM0Q0Q1Qy1FMzhFLTRBOTgtOEY2RC0xNUMzOEY1MUNDQzZhMDkxMTdhNi1hYzUwLTRmMmYtOTNmMS05Mzc5OWMyYmRkZjYscz1RU1hDUitRNnNlazhiZjkyLGk9NDA5NixoPUc2ay9yQkxEcWdPaFJSYUN1dWF0U0RGa0owOD0=")
	clientFinal := decoded("Yz1jRDEwYkhNdFpYaHdiM0owWlhJc0xGUklTVk1nU1ZNZ1JrRkxSU0JEUWlCRVFWUkIscj0xMkM0Q0Q1Qy1FMzhFLTRBOTgtOEY2RC0xNUMzOEY1MUNDQzZhMDkxMTdhNi1hYzUwLTRmMmYtOTNmMS05Mzc5OWMyYmRkZjYseD0xOUM2NTMyRi0xQ0Y0LTRBMjctQTE4RC1EQzlDRUE0MUJCQjMscD1NL1NJRGpUK2RmY3hVaDg5alpFeXBSdkZ4QjQ9")
	serverFinal := decoded("dj1NUXJNUHZ2N3l2NHg0Q3E0VzRJaDI1RXFTMmM9")

	sum := sha1.Sum([]byte(offer([]string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, []string{"tls-server-end-point", "tls-exporter"})))
	_, h, _ := strings.Cut(serverFirst, ",h=")
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != h {
		t.Fatalf("h=%s, want %s", got, h)
	}

	b, store := open(t)
	user := jid.MustParse("user@example.org")
	c, err := algorithmOf("SCRAM-SHA-1").credential("pencil", []byte(decoded("QSXCR+Q6sek8bf92")), 4096)
	if err != nil {
		t.Fatal(err)
	}
	store.accounts[user] = storage.Account{JID: user, Credentials: []storage.Credential{c}}
	x := &Exchange{backend: b, conn: bound, ctx: t.Context(), plus: true}
	x.conn.Bindings = []Binding{{tlsExporter, func() ([]byte, error) { return []byte("THIS IS FAKE CB DATA"), nil }}}
	_, got, state, err := x.scramFirst(algorithmOf("SCRAM-SHA-1"), clientFirst, "a09117a6-ac50-4f2f-93f1-93799c2bddf6")
	if err != nil {
		t.Fatal(err)
	}
	// More mechanisms are offered here than there.
	before, _, _ := strings.Cut(string(got), ",h=")
	if before+",h="+h != serverFirst {
		t.Fatalf("server-first %q", got)
	}
	state.(*scramState).serverFirst = serverFirst
	if _, got, _, err = x.scramFinal(algorithmOf("SCRAM-SHA-1"), state.(*scramState), clientFinal); err != nil || string(got) != serverFinal {
		t.Errorf("server-final %q, %v", got, err)
	}
}

// What was offered is told in the hash of the mechanism, to everybody.
func TestOffer(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	const scrams = "SCRAM-SHA-1\x1eSCRAM-SHA-256\x1eSCRAM-SHA-512"
	for _, tc := range []struct {
		conn Conn
		want string
	}{
		{Conn{Domain: domain, Addr: home}, scrams},
		{tlsConn, "PLAIN\x1e" + scrams},
		{bound, "PLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1eSCRAM-SHA-256\x1eSCRAM-SHA-256-PLUS\x1eSCRAM-SHA-512\x1eSCRAM-SHA-512-PLUS" +
			"\x1ftls-exporter\x1etls-server-end-point"},
	} {
		for _, m := range b.Mechanisms(tc.conn) {
			if m == "PLAIN" {
				continue
			}
			x, _ := b.Start(tc.conn, m)
			first, err := scramLogin(t, x, m, "romeo", password)
			if err != nil {
				t.Fatal(err)
			}
			want := base64.StdEncoding.EncodeToString(algorithmOf(m).sum([]byte(tc.want)))
			if parts := serverFirstForm.FindStringSubmatch(first); parts[4] != want {
				t.Errorf("%s on %+v: h=%s, want %s", m, tc.conn, parts[4], want)
			}
		}
	}
}

// certificate makes one, signed by itself.
func certificate(t testing.TB, key crypto.Signer, alg x509.SignatureAlgorithm) tls.Certificate {
	t.Helper()
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), SignatureAlgorithm: alg}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// handshake returns both ends after a byte went through, with what TLS 1.3 sends
// behind the handshake before it.
func handshake(t *testing.T, server, client *tls.Config) (ours, theirs tls.ConnectionState) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		s := tls.Server(c, server)
		_, err = s.Write([]byte{1})
		ours = s.ConnectionState()
		done <- err
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return ours, c.ConnectionState()
}

func ecdsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestTLSBindings(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum256 := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	sum384 := func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }
	sum512 := func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }
	for _, tc := range []struct {
		key  crypto.Signer
		alg  x509.SignatureAlgorithm
		hash func([]byte) []byte // nil: none is defined
	}{
		{ecdsaKey(t), x509.ECDSAWithSHA256, sum256},
		{ecdsaKey(t), x509.ECDSAWithSHA384, sum384},
		{ecdsaKey(t), x509.ECDSAWithSHA512, sum512},
		{rsaKey, x509.SHA256WithRSA, sum256},
		{rsaKey, x509.SHA384WithRSA, sum384},
		{rsaKey, x509.SHA512WithRSAPSS, sum512},
		{edKey, x509.PureEd25519, nil},
	} {
		cert := certificate(t, tc.key, tc.alg)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			name := tc.alg.String() + " " + tls.VersionName(version)
			ours, theirs := handshake(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version},
				&tls.Config{InsecureSkipVerify: true})
			want := map[string][]byte{}
			if version == tls.VersionTLS13 {
				want["tls-exporter"], _ = theirs.ExportKeyingMaterial("EXPORTER-Channel-Binding", []byte{}, 32)
			}
			if tc.hash != nil {
				want["tls-server-end-point"] = tc.hash(theirs.PeerCertificates[0].Raw)
			}
			list := TLSBindings(&ours, cert.Certificate[0])
			if len(list) != len(want) || len(list) == 2 && list[0].Type != "tls-exporter" {
				t.Errorf("%s: %d types, want %d", name, len(list), len(want))
			}
			for _, binding := range list {
				if got, err := binding.Data(); err != nil || len(got) < 32 || !bytes.Equal(got, want[binding.Type]) {
					t.Errorf("%s %s: %x, %v, want %x", name, binding.Type, got, err, want[binding.Type])
				}
			}
		}
	}
	ours, _ := handshake(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, ecdsaKey(t), 0)}}, &tls.Config{InsecureSkipVerify: true})
	if got := TLSBindings(&ours, nil); len(got) != 1 {
		t.Errorf("%d types without a certificate", len(got))
	}
	if got := TLSBindings(&ours, []byte("junk")); len(got) != 1 {
		t.Errorf("%d types with a broken one", len(got))
	}
	if got := TLSBindings(nil, nil); got != nil {
		t.Errorf("%d types without TLS", len(got))
	}
	if got := TLSBindings(new(tls.ConnectionState), nil); got != nil {
		t.Errorf("%d types before the handshake", len(got))
	}
}

// oldCertificate was signed by itself with ecdsa-with-SHA1.
const oldCertificate = "MIIBazCCARKgAwIBAgIUTTBcE12ozWpFaL6URLs+nFKcvnIwCQYHKoZIzj0EATAMMQowCAYDVQQDDAFhMB4XDTI2MTEyMTA2NTUxMFoXDTM2MT" +
	"ExODA2NTUxMFowDDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJMov76Tk6O55Rr7un9ztFFal2d2J7YCBqRsQWigRjHG" +
	"oBcWp8RfAUNy1UyXW3u4Hwb4W1F7UoAxUE5Lb1eqzlKjUzBRMB0GA1UdDgQWBBTsVDp15/iXnzDrSNcz+5KCOL2YgDAfBgNVHSMEGDAWgBTsVD" +
	"p15/iXnzDrSNcz+5KCOL2YgDAPBgNVHRMBAf8EBTADAQH/MAkGByqGSM49BAEDSAAwRQIhAOx81iFeWWmaBKauTUKk6cusr6klAskpdUb737V/" +
	"JoqKAiAVrwbS7wC/HYCNR7O8RVsf0WbswJ2G1BLBsUVjy79nlg=="

func TestOldSignature(t *testing.T) {
	t.Parallel()
	der, err := base64.StdEncoding.DecodeString(oldCertificate)
	if err != nil {
		t.Fatal(err)
	}
	if h := endPointHash(der); h == nil || h().Size() != sha256.Size {
		t.Error("SHA-1 is not replaced by SHA-256")
	}
}

// A resumed session is bound to its own keys and to the certificate of the first.
func TestResumedSession(t *testing.T) {
	t.Parallel()
	cert := certificate(t, ecdsaKey(t), x509.ECDSAWithSHA256)
	server := &tls.Config{Certificates: []tls.Certificate{cert}}
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "example.org", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	handshake(t, server, client)
	ours, theirs := handshake(t, server, client)
	if !ours.DidResume {
		t.Fatal("not resumed")
	}
	want, _ := theirs.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	list := TLSBindings(&ours, cert.Certificate[0])
	if got, _ := list[0].Data(); !bytes.Equal(got, want) {
		t.Error("exporters differ")
	}
	sum := sha256.Sum256(theirs.PeerCertificates[0].Raw)
	if got, _ := list[1].Data(); !bytes.Equal(got, sum[:]) {
		t.Error("end points differ")
	}
}

// A client that nobody here wrote logs in with channel binding.
func TestLibraryWithBinding(t *testing.T) {
	t.Parallel()
	b, _ := open(t)
	cert := certificate(t, ecdsaKey(t), x509.ECDSAWithSHA256)
	ours, theirs := handshake(t, &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{InsecureSkipVerify: true})
	_, others := handshake(t, &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{InsecureSkipVerify: true})
	conn := tlsConn
	conn.Bindings = TLSBindings(&ours, cert.Certificate[0])
	for _, m := range []sasl.Mechanism{sasl.ScramSha1Plus, sasl.ScramSha256Plus} {
		for i, state := range []tls.ConnectionState{theirs, others} {
			x, err := b.Start(conn, m.Name)
			if err != nil {
				t.Fatal(err)
			}
			client := sasl.NewClient(m, sasl.TLSState(state), sasl.RemoteMechanisms(b.Mechanisms(conn)...),
				sasl.Credentials(func() (user, pass, identity []byte) { return []byte("romeo"), []byte(password), nil }))
			message, challenge := []byte(nil), []byte(nil)
			done := false
			for !done && err == nil {
				if _, message, err = client.Step(challenge); err != nil {
					t.Fatalf("client: %v", err)
				}
				challenge, done, err = x.Step(t.Context(), message)
			}
			if mine := i == 0; mine != done {
				t.Errorf("%s: done %v, %v, over the same connection: %v", m.Name, done, err, mine)
			}
			if done {
				if _, _, err := client.Step(challenge); err != nil {
					t.Errorf("%s: the client does not believe the server: %v", m.Name, err)
				}
			}
		}
	}
}
