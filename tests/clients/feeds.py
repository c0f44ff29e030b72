"""Reads a feed as subscribers do, with feedparser, and as XML, with expat. usage: feeds.py FILE; prints one JSON line."""

import json
import sys
from xml.etree import ElementTree

import feedparser

with open(sys.argv[1], "rb") as file:
    data = file.read()

root = ElementTree.fromstring(data)
feed = feedparser.parse(data)


def node(element):
    """An element as [name with namespace, attributes, text, children]."""
    return [element.tag, dict(element.attrib), (element.text or "").strip(), [node(child) for child in element]]


print(
    json.dumps(
        {
            "bozo": bool(feed.bozo),
            "why": str(feed.get("bozo_exception", "")),
            "version": feed.version,
            "title": feed.feed.get("title"),
            "language": feed.feed.get("language"),
            "links": [{"rel": link.get("rel"), "href": link.get("href")} for link in feed.feed.get("links", [])],
            "entries": [
                {
                    "title": entry.get("title"),
                    "id": entry.get("id"),
                    "link": entry.get("link"),
                    "published": list(entry.get("published_parsed") or []),
                    "summary": entry.get("summary"),
                    "duration": entry.get("itunes_duration"),
                    "enclosures": [
                        {"href": e.get("href"), "type": e.get("type"), "length": e.get("length")}
                        for e in entry.get("enclosures", [])
                    ],
                    "media": entry.get("media_content", []),
                }
                for entry in feed.entries
            ],
            "xml": node(root),
        }
    )
)
