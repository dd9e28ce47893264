// One account in @xmpp/client, driven by lines of JSON: requests on the standard
// input, replies and events on the standard output. See client_test.go.
import { webcrypto } from "node:crypto";

import { WebSocket } from "ws";

import { print, serve } from "./lines.js";

// Browsers have both; Node has them from version 22 and 20 on.
globalThis.WebSocket = WebSocket;
globalThis.crypto ??= webcrypto;
const { client, xml } = await import("@xmpp/client");

const patience = 180_000; // that of the test; a few seconds are too short for a busy machine

let xmpp;
let mechanism = "";
let h = null; // of the last <failed/>
let online = Promise.resolve(); // pending while there is no connection
const SM = "urn:xmpp:sm:3";

function login({ jid, password, resource, service }) {
  const [username, domain] = jid.split("@");
  xmpp = client({ service, domain, username, password, resource, timeout: patience });
  const sm = xmpp.streamManagement;
  xmpp.reconnect.stop(); // the test decides
  xmpp.on("error", () => {}); // also rejects start()
  xmpp.on("send", (el) => {
    if (el.is("auth") || el.is("authenticate")) mechanism = el.attrs.mechanism;
  });
  xmpp.on("element", (el) => {
    if (el.is("error", "http://etherx.jabber.org/streams")) {
      print({ event: "stream-error", type: el.children[0].name });
    }
  });
  // The library does not count results that it waits for (XEP-0198 §4).
  xmpp.prependListener("element", ({ name, attrs: { type, id } }) => {
    if (name === "iq" && type !== "get" && type !== "set" && xmpp.iqCaller.handlers.has(id)) sm.inbound++;
  });
  // Enabled with Bind 2, the library would enable it once more when it sees it among
  // the features. The server bears that; but the library then forgets what it has
  // counted a moment too late, and with it the first stanza.
  let inline = false;
  xmpp.prependListener("element", (el) => {
    if (el.is("success")) inline = Boolean(el.getChild("bound")?.getChild("enabled", SM));
    if (el.is("features", "http://etherx.jabber.org/streams") && inline) {
      inline = false;
      el.children = el.children.filter((child) => !child.is("sm", SM));
    }
    const failed = el.is("failed", SM) ? el : el.getChild("failed", SM);
    if (failed) h = failed.attrs.h ?? null;
  });
  xmpp.on("stanza", stanza);
  sm.requestAckDebounce = 1;
  sm.on("ack", (el) => print({ event: "acked", id: el.attrs.id }));
  sm.on("fail", (el) => print({ event: "unsent", id: el.attrs.id }));
  xmpp.on("offline", () => print({ event: "closed" }));
  xmpp.on("disconnect", () => {
    online = new Promise((resolve) => {
      const up = () => {
        sm.off("resumed", up);
        xmpp.off("online", up);
        resolve();
      };
      sm.on("resumed", up);
      xmpp.on("online", up);
    });
    print({ event: "disconnected" });
  });
  return start();
}

// Over TLS the library looks for the answer to its stream header when it has learned
// that the header was written. If the answer comes before that, it waits in vain and
// is online all the same.
async function start() {
  const bound = await Promise.race([xmpp.start(), new Promise((resolve) => xmpp.once("online", resolve))]);
  return { jid: bound.toString(), mechanism };
}

// reconnect resumes, or begins a new session where that fails.
async function reconnect({ service }) {
  const { id } = xmpp.streamManagement;
  h = null;
  if (service) xmpp.options.service = service;
  let refuse;
  const refused = new Promise((_, reject) => {
    refuse = (err) => err.condition && reject(err); // by the server
  });
  xmpp.on("error", refuse);
  try {
    await Promise.race([xmpp.reconnect.reconnect().then(() => online), online, refused]);
  } finally {
    xmpp.off("error", refuse);
  }
  return { jid: xmpp.jid.toString(), mechanism, resumed: xmpp.streamManagement.id === id, h };
}

async function message({ to, type, body, id }) {
  await online;
  const el = xml("message", { to, type, id }, xml("body", {}, body));
  try {
    await xmpp.send(el);
  } catch (err) {
    const sm = xmpp.streamManagement;
    if (!sm.id) throw err;
    // The library queues nothing between the loss of the connection and its
    // resumption. What it could not write then belongs there too.
    if (!sm.outbound_q.some(({ stanza }) => stanza === el)) {
      sm.outbound_q.push({ stanza: el, stamp: new Date().toISOString() });
    }
  }
}

function stanza(el) {
  const { from = "", type = "", id = "" } = el.attrs;
  switch (el.name) {
    case "message":
      print({
        event: "message", from, type, id,
        body: el.getChildText("body") ?? "",
        delay: el.getChild("delay", "urn:xmpp:delay")?.attrs.stamp ?? "",
        stanza_id: el.getChild("stanza-id", "urn:xmpp:sid:0")?.attrs.id ?? "",
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
  (await xmpp.iqCaller.request(xml("iq", { type: "get", to }, xml(name, ns)), patience)).getChild(name, ns);

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
  message,
  reconnect,
  relogin: start, // after close, on the same client: by its token, if it has one
  async cut() {
    const { socket } = xmpp.socket;
    if (socket.terminate) socket.terminate();
    else socket.destroy();
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

await serve(requests);
process.exit(0);
