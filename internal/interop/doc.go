// Package interop proves that people can chat through the server with clients
// that nobody here wrote: slixmpp, @xmpp/client, stanza, Converse.js in Chromium
// and mellium.im/xmpp. The server is the built binary in a process of its own,
// which some tests stop or kill while everybody talks, and so are the clients,
// which are driven by lines of JSON (see py and js), except for mellium.im/xmpp.
//
// tools/install-test-deps installs them. TestBrowser takes screenshots; go test
// -artifacts keeps them, below bin/_artifacts after make test.
package interop
