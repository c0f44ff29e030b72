"""Asks over TLS as any program with OpenSSL does: `https.py URL CA`. Whatever the host, it is looked for on this machine.
Prints one JSON line: the status, the body, and whose certificate was shown; a certificate that CA hasn't signed, or that
is for another name, is an error. Needs no package.
"""

import http.client
import json
import socket
import ssl
import sys
from urllib.parse import urlsplit


def ask(url, authority):
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=authority)
    plain = socket.create_connection(("127.0.0.1", parts.port), timeout=20)
    with context.wrap_socket(plain, server_hostname=parts.hostname) as stream:
        shown = stream.getpeercert()
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
        connection.sock = stream
        connection.request("GET", parts.path + ("?" + parts.query if parts.query else ""))
        answer = connection.getresponse()
        body = answer.read().decode("utf-8", "replace")
    issuer = dict(pair for part in shown["issuer"] for pair in part)
    names = [name for _, name in shown["subjectAltName"]]
    return {"status": answer.status, "body": body, "issuer": issuer.get("commonName", ""), "names": names, "serial": shown["serialNumber"]}


print(json.dumps(ask(*sys.argv[1:])))
