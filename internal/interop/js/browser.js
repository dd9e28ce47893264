// A person in front of Converse.js in Chromium, driven by lines of JSON: requests
// on the standard input, replies on the standard output. See client_test.go.
import { chromium } from "playwright-core";

import { serve } from "./lines.js";

const patience = 150_000; // less than that of the test: what is missing is said here

let context;
let page;

// login opens the page of Converse.js and returns when it is logged in.
async function login({ url, path, service, jid, password }) {
  context = await chromium.launchPersistentContext(path, {
    executablePath: process.env.CHROMIUM,
    headless: true,
    timeout: patience,
    chromiumSandbox: false,
    viewport: { width: 1000, height: 700 },
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", // nothing else is reached
    ],
  });
  context.setDefaultTimeout(patience);
  page = context.pages()[0] ?? (await context.newPage());
  page.on("console", (m) => console.error(`${m.type()}: ${m.text()}`));
  page.on("pageerror", (e) => console.error(e));
  page.on("websocket", (ws) => {
    for (const way of ["framesent", "framereceived"]) {
      ws.on(way, ({ payload }) => console.error(way, payload.toString().slice(0, 300)));
    }
  });
  page.on("requestfailed", (r) => console.error(`${r.url()}: ${r.failure().errorText}`));
  await page.goto(url);
  await page.evaluate(
    async ({ service, jid, password, patience }) => {
      const { default: converse } = await import("/node_modules/converse.js/dist/converse.min.js");
      await new Promise((connected) => {
        converse.plugins.add("interop", {
          initialize() {
            window.api = this._converse.api;
            window.api.listen.once("rosterContactsFetched", connected);
          },
        });
        converse.initialize({
          authentication: "login",
          auto_login: true,
          jid,
          password,
          websocket_url: service,
          discover_connection_methods: false,
          view_mode: "fullscreen",
          assets_path: "/node_modules/converse.js/dist/",
          i18n: "en",
          play_sounds: false,
          show_desktop_notifications: false,
          allow_non_roster_messaging: true,
          whitelisted_plugins: ["interop"],
          blacklisted_plugins: ["converse-omemo", "converse-omemo-views"],
          loglevel: "warn",
          stanza_timeout: patience,
        });
      });
    },
    { service, jid, password, patience },
  );
  return { jid: await page.evaluate(() => window.api.connection.get().jid) };
}

// texts are the messages on the page, from top to bottom.
const texts = () => [...document.querySelectorAll(".chat-msg .chat-msg__text")].map((el) => el.textContent.trim());

// shows waits until a message stands on the page.
const shows = (body) =>
  page.waitForFunction(
    (body) => [...document.querySelectorAll(".chat-msg .chat-msg__text")].some((el) => el.textContent.trim() === body),
    body,
  );

const requests = {
  login,
  // chat opens a conversation and returns when a message is shown.
  async chat({ to, body }) {
    const open = async (to) => {
      await window.api.chats.open(to, {}, true); // and not its result, which leads to everything else
    };
    await page.evaluate(open, to);
    await shows(body);
  },
  async shows({ body }) {
    await shows(body);
  },
  // back scrolls up, as often as it takes until a message is shown, and returns
  // everything that stood on the page meanwhile: Converse.js takes away below what
  // it adds above.
  async back({ body }) {
    const seen = await page.waitForFunction((body) => {
      const messages = [...document.querySelectorAll(".chat-msg .chat-msg__text")];
      const texts = messages.map((el) => el.textContent.trim());
      window.seen ??= [];
      if (texts.join("\n") !== window.seen.at(-1)?.join("\n")) window.seen.push(texts);
      if (texts.includes(body)) return window.seen.splice(0);
      (document.querySelector("converse-mam-placeholder") ?? messages[0]).scrollIntoView();
      return false;
    }, body);
    return { pages: await seen.jsonValue() };
  },
  async shown() {
    return { items: await page.evaluate(texts) };
  },
  // known returns what Converse.js has of a conversation, whether it shows it or not.
  async known({ to }) {
    const known = async (to) => {
      const { messages } = await window.api.chats.get(to);
      return messages.map((m) => m.get("body")).filter(Boolean);
    };
    return { items: await page.evaluate(known, to) };
  },
  async screenshot({ path }) {
    await page.screenshot({ path });
  },
  async close() {
    await context.close();
  },
};

await serve(requests);
await context?.close();
process.exit(0);
