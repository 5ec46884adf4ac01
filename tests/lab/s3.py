#!/usr/bin/env python3
"""s3.py --bucket NAME [--key ID] [--restore-seconds N] : an S3 server that behaves as cold storage does, until its standard input ends.

Prints "listening PORT" (a free port of 127.0.0.1). On top of moto's server: what is stored in a cold class cannot be read until a
restore was asked for and N seconds have passed; a second request meanwhile gets 409 RestoreAlreadyInProgress; Content-MD5,
x-amz-content-sha256 and x-amz-checksum-sha256 that do not match the body are refused; only the key ID may talk to it (the signature
itself is not checked).
For tests, without a key:
  POST /_fault {"method": "PUT", "match": "regex on path?query", "times": 2, ...}   the next requests which match go wrong:
       status: N (answer N: 503 SlowDown, 500 InternalError)      cut: true (connection dropped before anything is done)
       hold: true (no answer, ever)
       after: true with cut (done, but the answer is lost)        truncate: N (an answer's body ends after N bytes)
  GET  /_log       the requests so far, [[method, path?query], ...]
  GET  /_objects   what is stored, [{"key", "size", "class"}, ...]
  POST /_damage {"key": K, "at": N}   one bit of byte N is flipped
  POST /_lose {"key": K}              the object is gone
"""
import argparse, base64, datetime, hashlib, io, json, os, re, sys, threading, time
from werkzeug.serving import WSGIRequestHandler, make_server
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3 import models
from moto.s3.exceptions import S3ClientError

ap = argparse.ArgumentParser()
ap.add_argument("--bucket", required=True)
ap.add_argument("--key", default="lab")
ap.add_argument("--restore-seconds", type=float, default=0)
o = ap.parse_args()


class AlreadyRestoring(S3ClientError):
    def __init__(self):
        super().__init__("RestoreAlreadyInProgress", "Object restore is already in progress")


def status(self):
    asked = getattr(self, "_asked", None)
    return None if asked is None else "IN_PROGRESS" if time.monotonic() < asked + o.restore_seconds else "RESTORED"


def restore(self, days):
    if self.status == "IN_PROGRESS":
        raise AlreadyRestoring()
    if self.status is None:
        self._asked = time.monotonic()
    self._expiry = models.utcnow() + datetime.timedelta(days=days)


models.FakeKey.status = property(status, lambda self, v: None)
models.FakeKey.restore = restore

faults, log, lock = [], [], threading.Lock()
app = DomainDispatcherApplication(create_backend_app)


def backend():
    return models.s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


def answer(start, value):
    body = json.dumps(value).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def refuse(start, code, name):
    body = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>{name}</Message></Error>".encode()
    start(f"{code} {name}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


def cut(env):
    env["werkzeug.socket"].shutdown(2)
    raise ConnectionResetError  # which the server takes for a peer that went away


def for_tests(env, start, path):
    body = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
    ask = json.loads(body) if body else {}
    keys = backend().get_bucket(o.bucket).keys
    if path == "/_log":
        with lock:
            return answer(start, log)
    if path == "/_objects":
        return answer(start, [{"key": k.name, "size": len(k.value), "class": k.storage_class} for k in sorted(keys.values(), key=lambda k: k.name)])
    if path == "/_fault":
        with lock:
            faults.append({"times": 1, **ask})
        return answer(start, True)
    if ask.get("key") not in keys:
        return refuse(start, 404, "NoSuchKey")
    if path == "/_damage":
        value = bytearray(keys[ask["key"]].value)
        value[ask["at"]] ^= 1
        keys[ask["key"]].value = bytes(value)
        return answer(start, True)
    if path == "/_lose":
        del keys[ask["key"]]
        return answer(start, True)
    return refuse(start, 404, "NoSuchCommand")


def sums_differ(env):
    """The name of the refusal if a sum that the client sent is not its body's."""
    if "aws-chunked" in env.get("HTTP_CONTENT_ENCODING", "") or not env.get("CONTENT_LENGTH"):
        return None
    body = env["wsgi.input"].read(int(env["CONTENT_LENGTH"]))
    env["wsgi.input"] = io.BytesIO(body)
    base = lambda h: base64.b64encode(h(body).digest()).decode()
    if env.get("HTTP_CONTENT_MD5") not in (None, base(hashlib.md5)):
        return "BadDigest"
    if env.get("HTTP_X_AMZ_CHECKSUM_SHA256") not in (None, base(hashlib.sha256)):
        return "BadDigest"
    sha = env.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    return "XAmzContentSHA256Mismatch" if len(sha) == 64 and hashlib.sha256(body).hexdigest() != sha else None


def front(env, start):
    method, path, query = env["REQUEST_METHOD"], env["PATH_INFO"], env.get("QUERY_STRING", "")
    if path.startswith("/_"):
        return for_tests(env, start, path)
    full = path + ("?" + query if query else "")
    with lock:
        log.append([method, full])
        fault = next((f for f in faults if f["times"] > 0 and f.get("method", method) == method and re.search(f.get("match", ""), full)), None)
        if fault:
            fault["times"] -= 1
    if fault and fault.get("hold"):
        threading.Event().wait()
    if not re.search(rf"(Credential|AWSAccessKeyId)={re.escape(o.key)}(/|%2F|&|$)", env.get("HTTP_AUTHORIZATION", "") + query):
        return refuse(start, 403, "InvalidAccessKeyId")
    if fault and fault.get("cut") and not fault.get("after"):
        return cut(env)
    if fault and "status" in fault:
        return refuse(start, fault["status"], {503: "SlowDown", 500: "InternalError"}.get(fault["status"], "Fault"))
    if method in ("PUT", "POST"):
        wrong = sums_differ(env)
        if wrong:
            return refuse(start, 400, wrong)
    given = start
    if method == "POST" and query.startswith("restore"):  # moto answers a restore that is under way with another status than S3
        given = lambda status, headers, info=None: start("409 Conflict" if status.startswith("400") else status, headers, info)
    out = app(env, given)
    if fault and fault.get("cut"):
        b"".join(out)
        return cut(env)
    if fault and "truncate" in fault:
        return [b"".join(out)[: fault["truncate"]]]
    return out


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


def until_the_caller_ends():
    sys.stdin.buffer.read()
    os._exit(0)


backend().create_bucket(o.bucket, "us-east-1")
server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=Quiet)
threading.Thread(target=until_the_caller_ends, daemon=True).start()
print("listening", server.server_port, flush=True)
server.serve_forever()
