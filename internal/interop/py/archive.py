"""Requests about the archive, and messages that refer to others."""
from slixmpp import JID
from slixmpp.plugins import xep_0082

PLUGINS = ("xep_0184", "xep_0308", "xep_0313", "xep_0333", "xep_0359", "xep_0424", "xep_0444")
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"


def stanza_id(m, by):
    """The ids that a message carries, each with whose it is."""
    found = {e.get("by"): e.get("id") for e in m.xml.findall(STANZA_ID)}
    return found.pop(by, ""), sorted(found)


def row(m):
    """A message out of an archive."""
    result = m["mam_result"]
    kept = result["forwarded"]["stanza"]
    return {
        "stanza_id": result["id"], "from": kept["from"].full, "to": kept["to"].full, "type": kept.xml.get("type", ""),
        "id": kept["id"], "body": kept["body"], "delay": xep_0082.format_datetime(result["forwarded"]["delay"]["stamp"]),
        "has": [e.tag for e in kept.xml], "by": [e.get("by") for e in kept.xml.findall(STANZA_ID)],
    }


def bounds(r):
    query = {name: xep_0082.parse(r[name]) for name in ("start", "end") if r.get(name)}
    if r.get("with"):
        query["with_jid"] = JID(r["with"])
    return query


class Archive:
    def plugin(self, name):
        return self.client.plugin[name]

    async def page(self, r):
        rsm = {name: r[name] for name in ("max", "after", "before") if r.get(name)}
        iq = await self.plugin("xep_0313").retrieve(rsm=rsm, **bounds(r))
        fin = iq["mam_fin"]
        return {
            "rows": [row(m) for m in iq["mam"]["results"]], "complete": fin.xml.get("complete") == "true",
            "first": fin["rsm"]["first"], "last": fin["rsm"]["last"],
            "index": int(fin["rsm"]["first_index"] or -1), "count": int(fin["rsm"]["count"] or -1),
        }

    async def pages(self, r):
        found = self.plugin("xep_0313").iterate(
            rsm={"max": r["max"]}, reverse=bool(r.get("reverse")), total=r.get("total"), **bounds(r))
        return {"rows": [row(m) async for m in found]}

    async def metadata(self, r):
        ends = (await self.plugin("xep_0313").get_archive_metadata())["mam_metadata"]
        stamp = lambda end: xep_0082.format_datetime(end["timestamp"])
        return {"rows": [{"stanza_id": end["id"], "delay": stamp(end)} for end in (ends["start"], ends["end"])]}

    async def fields(self, r):
        form = await self.plugin("xep_0313").get_fields()
        return {"items": list(form.get_fields())}

    async def ask(self, r):
        m = self.client.make_message(mto=r["to"], mbody=r["body"], mtype="chat")
        m["id"], m["request_receipt"] = r["id"], True
        m.send()

    async def correct(self, r):
        m = self.client.make_message(mto=r["to"], mbody=r["body"], mtype="chat")
        m["id"], m["replace"]["id"] = r["id"], r["of"]
        m.send()

    async def mark(self, r):
        self.plugin("xep_0333").send_marker(JID(r["to"]), r["of"], r["type"])

    async def react(self, r):
        self.plugin("xep_0444").send_reactions(JID(r["to"]), r["of"], [r["body"]])

    async def retract(self, r):
        self.plugin("xep_0424").send_retraction(JID(r["to"]), r["of"])
