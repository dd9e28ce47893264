"""One account in slixmpp, driven by lines of JSON: requests on the standard
input, replies and events on the standard output. See client_test.go."""
import asyncio
import inspect
import json
import logging
import ssl
import sys

import slixmpp
from slixmpp import JID
from slixmpp.exceptions import IqError, IqTimeout, XMPPError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

from archive import PLUGINS, Archive, stanza_id

ROSTER = "jabber:iq:roster"
DELAY = "{urn:xmpp:delay}delay"
RESULT = "{urn:xmpp:mam:2}result"


def show(**o):
    print(json.dumps(o), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, r):
        super().__init__(f"{r['jid']}/{r['resource']}", r["password"])
        for plugin in ("xep_0030", "xep_0092", "xep_0199", "xep_0202", *PLUGINS):
            self.register_plugin(plugin)
        # A yes to every subscription request is not for the library to say.
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        if r.get("sm"):
            self.manage()
        self.use_ipv6 = False
        self.use_aiodns = False
        self.ca_certs = r["ca"]
        self.mechanism = ""
        self.closing, self.ended = False, self.loop.create_future()
        self.online = asyncio.Event()
        self.add_event_handler("session_resumed", lambda _: self.settle(None))
        # With stream management the session has not started before it is enabled.
        self.add_event_handler("sm_enabled" if r.get("sm") else "session_start", lambda _: self.settle(None))
        self.add_event_handler("auth_success", self.note_mechanism)
        if not r.get("as_is"):
            self.unbind()
        self.refused = ""  # the last condition: one mechanism after the other is tried
        self.add_event_handler("failed_auth", self.note_refused)
        self.add_event_handler("failed_all_auth", lambda _: self.settle(self.refused))
        self.add_event_handler("ssl_invalid_chain", lambda e: self.settle(str(e)))
        self.add_event_handler("connection_failed", lambda e: self.settle(str(e)))
        self.add_event_handler("stream_error", lambda e: show(event="stream-error", type=e["condition"]))
        self.add_event_handler("disconnected", self.gone)
        for name, path, handle in (
            ("messages", "message", self.on_message),
            ("presences", "presence", self.on_presence),
            ("pushes", "iq@type=set/roster", self.on_push),
        ):
            self.register_handler(Callback(name, StanzaPath(path), handle))

    def unbind(self):
        # Up to 1.8.4 slixmpp uses tls-unique where TLS 1.3 has none (RFC 9266), and
        # knows nothing else. This is what later ones do.
        mechanisms = self.plugin["feature_mechanisms"]
        credentials = mechanisms.sasl_callback
        mechanisms.sasl_callback = lambda *wanted: credentials(*wanted) | {"channel_binding": None}
        mechanisms.use_mechs = {"SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"}

    def manage(self):
        for plugin in ("xep_0191", "xep_0198", "xep_0280", "xep_0352"):
            self.register_plugin(plugin)
        self.sm, self.unacked, self.h = self.plugin["xep_0198"], [], None
        self.sm.window = 1
        self.add_filter("out_sync", self.remember)
        self.add_event_handler("stanza_acked", lambda s: show(event="acked", id=s["id"]))
        self.add_event_handler("sm_failed", self.note_failed)
        for copy in ("carbon_received", "carbon_sent"):
            self.add_event_handler(copy, self.on_copy)

    def remember(self, stanza):
        # Asking to resume makes slixmpp forget what was not acknowledged, before it
        # can be sent again.
        if stanza.name == "resume" and not self.sm.unacked_queue:
            self.sm.unacked_queue.extend(self.unacked)
        # Nor does it keep what was under way when the connection ended.
        elif stanza.name == "message" and not self.sm.enabled_out:
            self.unacked.append((0, stanza))
        return stanza

    def note_failed(self, failed):
        self.h, self.unacked = failed.xml.get("h"), []

    def dial(self, r):
        self.ready = self.loop.create_future()
        direct = r["tls"] == "direct"
        if "address" in inspect.signature(self.connect).parameters:  # up to 1.8
            self.connect((r["host"], r["port"]), use_ssl=direct, force_starttls=True)
        else:
            self.enable_direct_tls, self.enable_starttls = direct, not direct
            self.enable_plaintext = False
            self.connect(r["host"], r["port"])

    def settle(self, error):
        if not error:
            self.online.set()
        if not self.ready.done():
            self.ready.set_result(error)

    def note_mechanism(self, _):
        self.mechanism = self.plugin["feature_mechanisms"].mech.name

    def note_refused(self, failure):
        self.refused = failure["condition"]

    def gone(self, _):
        self.settle(self.refused or "disconnected")
        self.online.clear()
        if "xep_0198" in self.plugin and not self.closing:
            self.unacked = list(self.sm.unacked_queue)
            show(event="disconnected")
        elif not self.ended.done():
            self.ended.set_result(None)
            show(event="closed")

    def on_message(self, m):
        if m.xml.find(RESULT) is not None:
            return  # of a query
        delay = m.xml.find(DELAY)
        own, others = stanza_id(m, self.boundjid.bare)
        show(event="message", **{"from": m["from"].full}, type=m.xml.get("type", ""), id=m["id"], body=m["body"],
             delay="" if delay is None else delay.get("stamp"), stanza_id=own, by=others, has=[e.tag for e in m.xml])

    def on_copy(self, m):
        copy = m["carbon_received"] or m["carbon_sent"]
        show(event="copy", **{"from": copy["from"].full}, id=copy["id"], body=copy["body"],
             stanza_id=stanza_id(copy, self.boundjid.bare)[0])

    def on_presence(self, p):
        ns = "{jabber:client}"
        show(event="presence", **{"from": p["from"].full}, type=p.xml.get("type", ""),
             show=p.xml.findtext(ns + "show", ""), status=p.xml.findtext(ns + "status", ""))

    def on_push(self, iq):
        for contact in contacts(iq):
            show(event="roster", **contact)


def contacts(iq):
    return [
        {"jid": i.get("jid"), "subscription": i.get("subscription", "none"), "name": i.get("name", ""), "ask": i.get("ask", "")}
        for i in iq.xml.iter("{%s}item" % ROSTER)
    ]


class Requests(Archive):
    client = None

    async def login(self, r):
        self.client = Client(r)
        self.client.dial(r)
        error = await self.client.ready
        if error:
            raise XMPPError(error)
        return {"jid": self.client.boundjid.full, "mechanism": self.client.mechanism}

    async def roster(self, r):
        # slixmpp keeps it, by roster versioning: an empty result changes nothing.
        await self.client.get_roster()
        own, known = self.client.boundjid.bare, self.client.client_roster
        return {"contacts": [
            {"jid": jid, "subscription": known[jid]["subscription"], "name": known[jid]["name"],
             "ask": "subscribe" if known[jid]["pending_out"] else ""}
            for jid in known if jid != own
        ]}

    async def presence(self, r):
        self.client.send_presence(pto=r.get("to"), ptype=r.get("type"), pshow=r.get("show"), pstatus=r.get("status"))

    async def message(self, r):
        if "xep_0198" in self.client.plugin:
            await self.client.online.wait()
        m = self.client.make_message(mto=r["to"], mbody=r["body"], mtype=r["type"])
        m["id"] = r["id"]
        m.send()

    async def ping(self, r):
        await self.client.plugin["xep_0199"].send_ping(r["to"], timeout=180)

    async def version(self, r):
        v = (await self.client.plugin["xep_0092"].get_version(r["to"]))["software_version"]
        return {"name": v["name"], "version": v["version"]}

    async def time(self, r):
        t = (await self.client.plugin["xep_0202"].get_entity_time(r["to"])).xml
        return {k: t.findtext("{urn:xmpp:time}time/{urn:xmpp:time}" + k) for k in ("utc", "tzo")}

    async def disco(self, r):
        info = (await self.client.plugin["xep_0030"].get_info(jid=r["to"], local=False))["disco_info"]
        return {"identities": [f"{i[0]}/{i[1]}" for i in info["identities"]], "features": sorted(info["features"])}

    async def items(self, r):
        items = (await self.client.plugin["xep_0030"].get_items(jid=r["to"], local=False))["disco_items"]
        return {"items": [str(i[0]) for i in items["items"]]}

    async def carbons(self, r):
        await self.client.plugin["xep_0280"].enable()

    async def inactive(self, r):
        self.client.plugin["xep_0352"].send_inactive()

    async def active(self, r):
        self.client.plugin["xep_0352"].send_active()

    async def block(self, r):
        await self.client.plugin["xep_0191"].block(JID(r["to"]))

    async def unblock(self, r):
        await self.client.plugin["xep_0191"].unblock(JID(r["to"]))

    async def blocked(self, r):
        found = await self.client.plugin["xep_0191"].get_blocked()
        return {"items": sorted(map(str, found["blocklist"]["items"]))}

    async def cut(self, r):
        self.client.abort()

    async def reconnect(self, r):
        sm = self.client.sm.sm_id
        self.client.h = None
        self.client.dial(r)
        error = await self.client.ready
        if error:
            raise XMPPError(error)
        return {"jid": self.client.boundjid.full, "resumed": self.client.sm.sm_id == sm, "h": self.client.h}

    async def close(self, r):
        self.client.closing = True
        self.client.disconnect()
        await self.client.ended


async def answer(requests, r):
    try:
        show(reply=r["n"], **(await getattr(requests, r["do"])(r) or {}))
    except (IqError, XMPPError) as e:
        show(reply=r["n"], error=e.condition)
    except IqTimeout:
        show(reply=r["n"], error="timeout")


async def main():
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    requests, running = Requests(), set()
    while line := await lines.readline():
        # Not awaited: a client may have several requests under way.
        task = loop.create_task(answer(requests, json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
asyncio.run(main())
