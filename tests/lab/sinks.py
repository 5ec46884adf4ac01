#!/usr/bin/env python3
"""sinks.py smtp|https --out FILE [--tls none|starttls|tls] [--user NAME --password WORD] [--ca FILE] : takes what it is sent, until its
standard input ends.

Prints "listening PORT" (a free port of 127.0.0.1). What comes is a line of JSON in FILE: of a mail its envelope, headers and text, and
whether the line was private and who had logged in; of a request its path, headers and body.
With TLS it shows a certificate for 127.0.0.1 and localhost by an authority of its own, whose certificate it writes to --ca before it listens.
A recipient that begins with "reject" is refused, one that begins with "later" is told to come again.
"""
import argparse, datetime, ipaddress, json, os, ssl, sys, tempfile, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ap = argparse.ArgumentParser()
ap.add_argument("what", choices=["smtp", "https"])
ap.add_argument("--out", required=True)
ap.add_argument("--tls", choices=["none", "starttls", "tls"], default="none")
ap.add_argument("--user")
ap.add_argument("--password")
ap.add_argument("--ca")
o = ap.parse_args()
lock = threading.Lock()


def put(line):
    with lock, open(o.out, "a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")


def context():
    """A server's side of TLS, with a certificate that was made just now."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, issuer, key, signer, more):
        b = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        b = b.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        b = b.not_valid_after(now + datetime.timedelta(days=30))
        for extension, critical in more:
            b = b.add_extension(extension, critical)
        return b.sign(signer, hashes.SHA256())

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate(name("lab's authority"), name("lab's authority"), ca_key, ca_key, [(x509.BasicConstraints(ca=True, path_length=0), True)])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    own = certificate(
        name("lab"), name("lab's authority"), key, ca_key,
        [(x509.SubjectAlternativeName(names), False), (x509.BasicConstraints(ca=False, path_length=None), True),
         (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False)],
    )
    pem = serialization.Encoding.PEM
    if o.ca:
        with open(o.ca, "wb") as f:
            f.write(ca.public_bytes(pem))
    with tempfile.NamedTemporaryFile() as f:
        f.write(own.public_bytes(pem))
        f.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        f.flush()
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(f.name)
    return made


def https():
    class Take(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "replace")
            put({"path": self.path, "headers": dict(self.headers), "body": body})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    server.socket = context().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def smtp():
    import asyncio
    from email import message_from_bytes, policy
    from aiosmtpd.smtp import SMTP, AuthResult

    class Take:
        async def handle_RCPT(self, server, session, envelope, address, options):
            if address.startswith("reject"):
                return "550 5.1.1 no such user"
            if address.startswith("later"):
                return "451 4.7.1 come again later"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, server, session, envelope):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            put({
                "from": envelope.mail_from, "to": envelope.rcpt_tos, "headers": [[k, str(v)] for k, v in mail.items()],
                "text": mail.get_content(), "private": session.ssl is not None or o.tls == "tls", "user": session.auth_data,
            })
            return "250 kept"

    def login(server, session, envelope, mechanism, data):
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == (o.user, o.password), handled=False, auth_data=given[0])

    made = context() if o.tls != "none" else None

    def session():
        return SMTP(
            Take(), hostname="lab", authenticator=login if o.user else None, auth_required=bool(o.user),
            auth_require_tls=o.tls == "starttls", tls_context=made if o.tls == "starttls" else None,
            require_starttls=o.tls == "starttls",
        )

    loop = asyncio.new_event_loop()
    inner = made if o.tls == "tls" else None
    server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0, ssl=inner))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return server.sockets[0].getsockname()[1]


print("listening", {"smtp": smtp, "https": https}[o.what](), flush=True)
sys.stdin.read()
os._exit(0)
