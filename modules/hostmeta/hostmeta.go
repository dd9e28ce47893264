// Package hostmeta publishes where else clients can connect: XEP-0156:
// Discovering Alternative XMPP Connection Methods (1.4.0).
package hostmeta

import (
	"encoding/json"
	"net/http"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const (
	nsXRD        = "http://docs.oasis-open.org/ns/xri/xrd-1.0"
	relWebSocket = "urn:xmpp:alt-connections:websocket"
)

// Module is the feature. Only addresses that the operator has named are
// published, because the server cannot know how it is reached from outside.
type Module struct {
	webSocket string // ws:// or wss:// URL; empty: none
}

// New makes the module; webSocketURL is what config.Config.WebSocketURL says.
func New(webSocketURL string) *Module { return &Module{webSocket: webSocketURL} }

// Info implements modules.Module.
func (m *Module) Info() modules.Info {
	return modules.Info{
		Name: "hostmeta", Doc: "Publishes the WebSocket address at /.well-known/host-meta and host-meta.json.",
		XEPs: []modules.XEP{{Number: 156, Version: "1.4.0"}},
	}
}

// Init implements modules.Module.
func (m *Module) Init(h *modules.Host) error {
	h.HTTP("GET /.well-known/host-meta", http.HandlerFunc(m.serveXML))
	h.HTTP("GET /.well-known/host-meta.json", http.HandlerFunc(m.serveJSON))
	return nil
}

// XEP-0156 §3.2: browsers of other origins have to be able to read it.
func begin(w http.ResponseWriter, contentType string) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", contentType)
}

func (m *Module) serveXML(w http.ResponseWriter, _ *http.Request) {
	begin(w, "application/xrd+xml")
	b := stanza.NewBuilder([]byte("<?xml version='1.0' encoding='utf-8'?>\n")).Open("XRD", nsXRD)
	if m.webSocket != "" {
		b.Open("Link", "").Attr("rel", relWebSocket).Attr("href", m.webSocket).Close()
	}
	w.Write(b.Bytes())
}

func (m *Module) serveJSON(w http.ResponseWriter, _ *http.Request) {
	begin(w, "application/json")
	type link struct {
		Rel  string `json:"rel"`
		Href string `json:"href"`
	}
	links := []link{}
	if m.webSocket != "" {
		links = append(links, link{relWebSocket, m.webSocket})
	}
	json.NewEncoder(w).Encode(map[string]any{"links": links})
}
