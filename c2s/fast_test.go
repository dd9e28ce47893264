package c2s_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// bound is a client with a TLS connection of its own, whose channel bindings it
// computes itself.
type bound struct {
	*xmpptest.Client
	state tls.ConnectionState
}

// connect opens a stream on c2s_tls by a version of TLS.
func connect(t *testing.T, s *xmpptest.Server, version uint16) bound {
	t.Helper()
	tcp, err := net.Dial("tcp", s.Addr(t, "c2s_tls"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	conn := tls.Client(tcp, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, MaxVersion: version, NextProtos: []string{"xmpp-client"}}) //nolint:gosec // its own certificate
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	c := bound{xmpptest.Over(t, conn), conn.ConnectionState()}
	c.Open()
	return c
}

// binding is the data of a type of channel binding as a client has it.
func (c bound) binding(t *testing.T, kind string) []byte {
	t.Helper()
	switch kind {
	case "tls-exporter":
		data, err := c.state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		if err != nil {
			t.Fatal(err)
		}
		return data
	case "tls-server-end-point":
		sum := sha256.Sum256(c.state.PeerCertificates[0].Raw) // ECDSA with SHA-256
		return sum[:]
	}
	return nil
}

func mac(key []byte, text ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, s := range text {
		h.Write([]byte(s))
	}
	return h.Sum(nil)
}

// scram logs in by SCRAM-SHA-256(-PLUS) and returns what ends the exchange.
// binding is what the client believes to be the data.
func scram(t *testing.T, c *xmpptest.Client, user, flag string, binding []byte, more string) *xmpptest.Element {
	t.Helper()
	b64, mechanism := base64.StdEncoding.EncodeToString, "SCRAM-SHA-256"
	if strings.HasPrefix(flag, "p=") {
		mechanism += "-PLUS"
	}
	gs2, first := flag+",,", "n="+user+",r=abcdefgh"
	c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" + b64([]byte(gs2+first)) + "</initial-response>" + more + "</authenticate>")
	e := c.Next()
	if e.Name != "challenge" {
		return e
	}
	challenge, _ := base64.StdEncoding.DecodeString(e.Text())
	fields := map[byte]string{}
	for f := range strings.SplitSeq(string(challenge), ",") {
		fields[f[0]] = f[2:]
	}
	salt, _ := base64.StdEncoding.DecodeString(fields['s'])
	iterations, _ := strconv.Atoi(fields['i'])
	salted, err := pbkdf2.Key(sha256.New, xmpptest.Password, salt, iterations, 32)
	if err != nil {
		t.Fatal(err)
	}
	final := "c=" + b64(append([]byte(gs2), binding...)) + ",r=" + fields['r']
	key := mac(salted, "Client Key")
	stored := sha256.Sum256(key)
	proof := make([]byte, 32)
	subtle.XORBytes(proof, key, mac(stored[:], first+","+string(challenge)+","+final))
	c.Send("<response xmlns='urn:xmpp:sasl:2'>" + b64([]byte(final+",p="+b64(proof))) + "</response>")
	return c.Next()
}

func refusal(e *xmpptest.Element) string {
	for _, child := range e.Children() {
		if child.Space == "urn:ietf:params:xml:ns:xmpp-sasl" {
			return child.Name
		}
	}
	return e.Name
}

// A login is tied to the TLS connection wherever that ends here.
func TestChannelBinding(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failure_delay: 0s}"})
	s.Account(t, "romeo")
	for version, kinds := range map[uint16]string{
		tls.VersionTLS12: "tls-server-end-point",
		tls.VersionTLS13: "tls-exporter tls-server-end-point",
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			c := connect(t, s, version)
			var offered []string
			for _, e := range c.Features.Child("urn:xmpp:sasl-cb:0", "sasl-channel-binding").Children() {
				offered = append(offered, e.Attr("type"))
			}
			if strings.Join(offered, " ") != kinds {
				t.Errorf("offered %s, want %s", offered, kinds)
			}
			for _, kind := range []string{"tls-exporter", "tls-server-end-point", "tls-unique"} {
				c := connect(t, s, version)
				if !strings.Contains(kinds, kind) {
					if got := refusal(scram(t, c.Client, "romeo", "p="+kind, []byte("x"), "")); got != "malformed-request" {
						t.Errorf("%s: %s", kind, got)
					}
					continue
				}
				if got := refusal(scram(t, c.Client, "romeo", "p="+kind, connect(t, s, version).binding(t, "tls-exporter"), "")); got != "not-authorized" {
					t.Errorf("%s with the data of another connection: %s", kind, got)
				}
				if e := scram(t, c.Client, "romeo", "p="+kind, c.binding(t, kind), ""); e.Name != "success" {
					t.Errorf("%s: %s", kind, e)
				}
			}
			c = connect(t, s, version)
			if got := refusal(scram(t, c.Client, "romeo", "y", nil, "")); got != "malformed-request" {
				t.Errorf("somebody has hidden the bindings, and the answer is %s", got)
			}
			if e := scram(t, c.Client, "romeo", "n", nil, ""); e.Name != "success" {
				t.Errorf("without channel binding: %s", e)
			}
		})
	}
}

// Where TLS ends elsewhere nothing can be bound to it.
func TestNoChannelBinding(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "http: {trusted_proxies: [127.0.0.1]}\nauth: {failure_delay: 0s}"})
	s.Account(t, "romeo")
	for _, way := range []xmpptest.Way{xmpptest.WebSocket, xmpptest.SecureWebSocket} {
		c := s.Dial(t, way)
		c.Open()
		if c.Features.Child("urn:xmpp:sasl-cb:0", "sasl-channel-binding") != nil || strings.Contains(c.Features.Raw, "-PLUS") ||
			strings.Contains(c.Features.Raw, "-ENDP") || !strings.Contains(c.Features.Raw, "HT-SHA-256-NONE") {
			t.Errorf("%s: %s", way, c.Features)
		}
		if got := refusal(scram(t, c, "romeo", "p=tls-server-end-point", []byte("x"), "")); got != "invalid-mechanism" {
			t.Errorf("%s: %s", way, got)
		}
		if e := scram(t, c, "romeo", "y", nil, ""); e.Name != "success" {
			t.Errorf("%s: %s", way, e)
		}
	}
}

// fast logs in with a token (draft-schmaus-kitten-sasl-ht-09 §3).
func fast(c *xmpptest.Client, mechanism, user, token string, binding []byte, attrs, more string) *xmpptest.Element {
	message := append([]byte(user+"\x00"), mac([]byte(token), "Initiator", string(binding))...)
	c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" + base64.StdEncoding.EncodeToString(message) +
		"</initial-response><user-agent id='" + agentID + "'/><fast xmlns='urn:xmpp:fast:0'" + attrs + "/>" + more + "</authenticate>")
	return c.Next()
}

// A token is asked for, used on a connection of its own, and taken back.
func TestFAST(t *testing.T) {
	t.Parallel()
	for mechanism, kind := range map[string]string{"HT-SHA-256-EXPR": "tls-exporter", "HT-SHA-256-ENDP": "tls-server-end-point", "HT-SHA-256-NONE": ""} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			s := xmpptest.Start(t, xmpptest.Options{})
			s.Account(t, "romeo")
			c := connect(t, s, tls.VersionTLS13)
			if !strings.Contains(c.Features.Child(nsSASL2, "authentication").String(), "<mechanism>"+mechanism+"</mechanism>") {
				t.Fatalf("not offered:\n%s", c.Features)
			}
			c.Send(authenticate("romeo", xmpptest.Password, "<user-agent id='"+agentID+"'/><request-token xmlns='urn:xmpp:fast:0' mechanism='"+mechanism+"'/>"))
			issued := c.Next().Child("urn:xmpp:fast:0", "token")
			if issued == nil || len(issued.Attr("expiry")) != len("2020-03-12T14:36:15Z") {
				t.Fatalf("token %s", issued)
			}
			token := issued.Attr("token")

			c = connect(t, s, tls.VersionTLS13)
			e := fast(c.Client, mechanism, "romeo", token, c.binding(t, kind), " count='1'", bind2)
			proof := base64.StdEncoding.EncodeToString(mac([]byte(token), "Responder", string(c.binding(t, kind))))
			if e.Name != "success" || e.Child(nsSASL2, "additional-data").Text() != proof || e.Child(nsBind2, "bound") == nil || e.Child("urn:xmpp:fast:0", "token") != nil {
				t.Fatalf("got %s", e)
			}
			features(t, c.Client, true)
			c.ExpectNothing()

			for i, attrs := range []string{" count='1'", " count='2'", " count='3' invalidate='true'", " count='4'"} {
				c = connect(t, s, tls.VersionTLS13)
				e := fast(c.Client, mechanism, "romeo", token, c.binding(t, kind), attrs, "")
				if ok := i == 1 || i == 2; (e.Name == "success") != ok || !ok && refusal(e) != "not-authorized" {
					t.Errorf("%s: %s", attrs, e)
				}
			}
		})
	}
}

// A refused token is no failed password: the client gets to its password at
// once, however often that was wrong before, but not for ever.
func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {attempts_per_connection: 1, failure_delay: 1m, failure_delay_max: 1m, failures_before_delay: 0}"})
	s.Account(t, "romeo")
	c := connect(t, s, tls.VersionTLS13)
	if got := refusal(fast(c.Client, "HT-SHA-256-NONE", "romeo", "stale", nil, "", bind2)); got != "not-authorized" {
		t.Errorf("a wrong token: %s", got)
	}
	c.Send(authenticate("romeo", xmpptest.Password, bind2))
	if e := c.Next(); e.Name != "success" {
		t.Errorf("the password behind it: %s", e)
	}

	c = connect(t, s, tls.VersionTLS13)
	for range 9 {
		if got := refusal(fast(c.Client, "HT-SHA-256-UNIQ", "romeo", "stale", nil, "", "")); got != "invalid-mechanism" {
			t.Errorf("an unknown mechanism: %s", got)
		}
	}
	if got := refusal(fast(c.Client, "HT-SHA-256-NONE", "juliet", "stale", nil, "", "")); got != "not-authorized" {
		t.Errorf("an unknown account: %s", got)
	}
	c.ExpectEnd("policy-violation")

	// A mechanism for tokens needs <fast/>, and <fast/> such a mechanism.
	c = connect(t, s, tls.VersionTLS13)
	c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><user-agent id='" + agentID + "'/><fast xmlns='urn:xmpp:fast:0'/></authenticate>")
	if got := refusal(c.Next()); got != "invalid-mechanism" {
		t.Errorf("SCRAM with a token: %s", got)
	}
	c.Send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>eA==</initial-response></authenticate>")
	if got := refusal(c.Next()); got != "invalid-mechanism" {
		t.Errorf("no <fast/>: %s", got)
	}
	c.ExpectEnd("policy-violation") // that one was a failed login
}

// weaken leaves an account of a server only the credentials for SHA-256, as an
// import may.
func weaken(t *testing.T, s *xmpptest.Server, user string) {
	t.Helper()
	account := jid.MustParse(user + "@localhost")
	a, err := s.DB.Account(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	var kept []storage.Credential
	for _, c := range a.Credentials {
		if c.Hash == "SHA-256" {
			kept = append(kept, c)
		}
	}
	if err := s.DB.SetCredentials(t.Context(), account, kept); err != nil {
		t.Fatal(err)
	}
}

// XEP-0480: the client computes what the server lacks, before <success/>.
func TestUpgradeTasks(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{Config: "auth: {failure_delay: 0s}"})
	const ask = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>NONSENSE</upgrade>" + bind2
	begin := func(user string) *xmpptest.Client {
		t.Helper()
		s.Account(t, user)
		weaken(t, s, user)
		c := s.Dial(t, xmpptest.DirectTLS)
		c.Open()
		e := scram(t, c, user, "n", nil, ask)
		tasks := e.Child(nsSASL2, "tasks")
		if e.Name != "continue" || e.Child(nsSASL2, "additional-data") == nil || len(tasks.Children()) != 1 || tasks.Child(nsSASL2, "task").Text() != "UPGR-SCRAM-SHA-512" {
			t.Fatalf("got %s", e)
		}
		return c
	}
	salted := func(c *xmpptest.Client) []byte {
		t.Helper()
		c.Send("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/>")
		e := c.Next().Child("urn:xmpp:scram-upgrade:0", "salt")
		salt, _ := base64.StdEncoding.DecodeString(e.Text())
		if n, _ := strconv.Atoi(e.Attr("iterations")); n < 4096 || len(salt) == 0 {
			t.Fatalf("got %s", e)
		}
		return make([]byte, 64)
	}
	answer := func(hash []byte) string {
		return "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>" + base64.StdEncoding.EncodeToString(hash) + "</hash></task-data>"
	}

	c := begin("romeo")
	c.Send(answer(salted(c)))
	if e := c.Next(); e.Name != "success" || e.Child(nsSASL2, "additional-data") != nil || e.Child(nsBind2, "bound") == nil {
		t.Errorf("got %s", e)
	}
	features(t, c, true)
	a, err := s.DB.Account(t.Context(), jid.MustParse("romeo@localhost"))
	if err != nil || len(a.Credentials) != 2 {
		t.Errorf("credentials %v, %v", a.Credentials, err)
	}

	// A failed task ends all chances to log in on the stream.
	for name, wrong := range map[string]string{
		"other": "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-1'/>",
		"abort": "<abort xmlns='urn:xmpp:sasl:2'/>",
		"short": answer(make([]byte, 20)),
		"none":  "<task-data xmlns='urn:xmpp:sasl:2'/>",
		"bad":   strings.Replace(answer(nil), "</hash>", "!</hash>", 1),
	} {
		c := begin(name)
		if strings.Contains(wrong, "task-data") {
			salted(c)
		}
		c.Send(wrong)
		if e := c.Next(); e.Space != nsSASL2 || e.Name != "failure" {
			t.Errorf("%s: %s", name, e)
		}
		c.Send(authenticate(name, xmpptest.Password, ""))
		c.ExpectEnd("not-authorized")
	}
}

// A token that is old is replaced when it is used, and stays good until the new
// one is (XEP-0484 §3.5).
func TestTokenRotation(t *testing.T) {
	t.Parallel()
	s := xmpptest.Start(t, xmpptest.Options{})
	s.Account(t, "romeo")
	romeo := jid.MustParse("romeo@localhost")
	issued := func(e *xmpptest.Element) string {
		t.Helper()
		token := e.Child("urn:xmpp:fast:0", "token")
		if e.Name != "success" || token == nil {
			t.Fatalf("no token in %s", e)
		}
		return token.Attr("token")
	}
	c := connect(t, s, tls.VersionTLS13)
	c.Send(authenticate("romeo", xmpptest.Password, "<user-agent id='"+agentID+"'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"))
	old := issued(c.Next())
	tokens, err := s.DB.Tokens(t.Context(), romeo)
	if err != nil || len(tokens) != 1 {
		t.Fatalf("%v, %v", tokens, err)
	}
	a, err := s.DB.Account(t.Context(), romeo)
	if err != nil {
		t.Fatal(err)
	}
	aged := tokens[0]
	aged.Created = aged.Created.Add(-25 * time.Hour) // auth.token_rotation is a day
	aged.Expires = aged.Expires.Add(-25 * time.Hour)
	if err := s.DB.AddToken(t.Context(), romeo, a.Epoch, aged, 1); err != nil {
		t.Fatal(err)
	}
	login := func(token string) *xmpptest.Element {
		t.Helper()
		return fast(connect(t, s, tls.VersionTLS13).Client, "HT-SHA-256-NONE", "romeo", token, nil, "", "")
	}
	lost, fresh := issued(login(old)), issued(login(old))
	if got := refusal(login(lost)); got != "not-authorized" {
		t.Errorf("a token that was never used and has been replaced: %s", got)
	}
	if e := login(fresh); e.Name != "success" || e.Child("urn:xmpp:fast:0", "token") != nil {
		t.Errorf("the new token: %s", e)
	}
	if got := refusal(login(old)); got != "not-authorized" {
		t.Errorf("the old token: %s", got)
	}
}
