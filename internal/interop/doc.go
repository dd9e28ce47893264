// Package interop proves that people can chat through the server with clients
// that nobody here wrote: slixmpp, @xmpp/client and mellium.im/xmpp. The server
// is the built binary in a process of its own, which some tests stop or kill
// while everybody talks, and so are slixmpp and @xmpp/client, which are driven
// by lines of JSON (see py and js).
package interop
