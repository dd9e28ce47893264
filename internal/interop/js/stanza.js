// One account in stanza (npm) over WebSocket, driven by lines of JSON: requests
// on the standard input, replies and events on the standard output. See
// client_test.go.
import { createClient } from "stanza";

import { print, serve } from "./lines.js";

let client;

function login({ jid, password, resource, service }) {
  client = createClient({ jid, password, resource, transports: { websocket: service, bosh: false }, timeout: 180 });
  client.on("message", (m) => {
    if (!m.archive) print({ event: "message", ...message(m), stanza_id: m.stanzaIds?.find(({ by }) => by === jid)?.id ?? "" });
  });
  client.on("disconnected", () => print({ event: "disconnected" }));
  return new Promise((resolve, reject) => {
    client.once("session:started", () => resolve({ jid: client.jid }));
    client.once("auth:failed", () => reject(new Error("not-authorized")));
    client.connect();
  });
}

const message = ({ from = "", to = "", type = "", id = "", body = "" }) => ({ from, to, type, id, body });

const date = (s) => (s ? new Date(s) : undefined);

const requests = {
  login,
  async presence() {
    client.sendPresence();
  },
  async message({ to, type, id, body }) {
    client.sendMessage({ to, type, id, body });
  },
  async ping({ to }) {
    await client.ping(to);
  },
  async page({ with: peer, start, end, max, before, after, reverse }) {
    const paging = { max, after, before: before ?? (reverse ? "" : undefined) };
    const { results, complete = false, paging: found } = await client.searchHistory({
      with: peer, start: date(start), end: date(end), paging,
    });
    return {
      rows: results.map(({ id, item }) => ({ ...message(item.message), stanza_id: id, delay: item.delay.timestamp.toISOString() })),
      complete, first: found.first ?? "", last: found.last ?? "", index: found.firstIndex ?? -1, count: found.count ?? -1,
    };
  },
  async close() {
    client.disconnect();
  },
};

await serve(requests);
process.exit(0);
