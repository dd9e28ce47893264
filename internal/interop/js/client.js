// One account in @xmpp/client, driven by lines of JSON: requests on the standard
// input, replies and events on the standard output. See client_test.go.
import readline from "node:readline";
import { webcrypto } from "node:crypto";

import { WebSocket } from "ws";

// Browsers have both; Node has them from version 22 and 20 on.
globalThis.WebSocket = WebSocket;
globalThis.crypto ??= webcrypto;
const { client, xml } = await import("@xmpp/client");

const print = (o) => process.stdout.write(JSON.stringify(o) + "\n");

let xmpp;
let mechanism = "";

function login({ jid, password, resource, service }) {
  const [username, domain] = jid.split("@");
  xmpp = client({ service, domain, username, password, resource });
  xmpp.reconnect.stop(); // the test decides
  xmpp.on("error", () => {}); // also rejects start()
  xmpp.on("send", (el) => {
    if (el.is("auth")) mechanism = el.attrs.mechanism;
  });
  xmpp.on("element", (el) => {
    if (el.is("error", "http://etherx.jabber.org/streams")) {
      print({ event: "stream-error", type: el.children[0].name });
    }
  });
  xmpp.on("stanza", stanza);
  xmpp.on("offline", () => print({ event: "closed" }));
  xmpp.on("disconnect", () => print({ event: "disconnected" }));
  return xmpp.start().then((bound) => ({ jid: bound.toString(), mechanism }));
}

function stanza(el) {
  const { from = "", type = "", id = "" } = el.attrs;
  switch (el.name) {
    case "message":
      print({
        event: "message", from, type, id,
        body: el.getChildText("body") ?? "",
        delay: el.getChild("delay", "urn:xmpp:delay")?.attrs.stamp ?? "",
      });
      break;
    case "presence":
      print({
        event: "presence", from, type,
        show: el.getChildText("show") ?? "",
        status: el.getChildText("status") ?? "",
      });
      break;
    case "iq":
      for (const item of el.getChild("query", "jabber:iq:roster")?.getChildren("item") ?? []) {
        if (type === "set") print({ event: "roster", ...contact(item) });
      }
  }
}

function contact(item) {
  const { jid, subscription = "none", name = "", ask = "" } = item.attrs;
  return { jid, subscription, name, ask };
}

const query = async (to, name, ns) =>
  (await xmpp.iqCaller.request(xml("iq", { type: "get", to }, xml(name, ns)))).getChild(name, ns);

const requests = {
  login,
  async roster() {
    const q = await query(undefined, "query", "jabber:iq:roster");
    return { contacts: q.getChildren("item").map(contact) };
  },
  presence({ to, type, show, status }) {
    return xmpp.send(
      xml("presence", { to, type }, show && xml("show", {}, show), status && xml("status", {}, status)),
    );
  },
  message({ to, type, body, id }) {
    return xmpp.send(xml("message", { to, type, id }, xml("body", {}, body)));
  },
  async ping({ to }) {
    await query(to, "ping", "urn:xmpp:ping");
  },
  async version({ to }) {
    const q = await query(to, "query", "jabber:iq:version");
    return { name: q.getChildText("name"), version: q.getChildText("version") };
  },
  async time({ to }) {
    const q = await query(to, "time", "urn:xmpp:time");
    return { utc: q.getChildText("utc"), tzo: q.getChildText("tzo") };
  },
  async disco({ to }) {
    const q = await query(to, "query", "http://jabber.org/protocol/disco#info");
    return {
      identities: q.getChildren("identity").map((i) => `${i.attrs.category}/${i.attrs.type}`),
      features: q.getChildren("feature").map((f) => f.attrs.var),
    };
  },
  async items({ to }) {
    const q = await query(to, "query", "http://jabber.org/protocol/disco#items");
    return { items: q.getChildren("item").map((i) => i.attrs.jid) };
  },
  async close() {
    await xmpp.stop();
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  // Not awaited: a client may have several requests under way.
  Promise.resolve()
    .then(() => requests[request.do](request))
    .then(
      (result) => print({ reply: request.n, ...result }),
      (err) => print({ reply: request.n, error: err.condition ?? err.message ?? String(err) }),
    );
}
process.exit(0);
