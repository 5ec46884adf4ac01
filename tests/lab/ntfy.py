#!/usr/bin/env python3
"""ntfy.py NTFY DIR : the real ntfy server, on a free port of 127.0.0.1, until its standard input ends.

Prints "listening PORT". Only the account "mac" with the password "secret" may write and read the topic "backups"; DIR/token holds a token of
that account. The server itself listens at a socket in DIR, because it cannot say which port it got if it is let choose one; the port is ours,
and what comes there is handed on.
"""
import asyncio, os, re, subprocess, sys, threading, time

program, folder = sys.argv[1], sys.argv[2]
at = lambda name: os.path.join(folder, name)
with open(at("server.yml"), "w") as f:
    f.write(
        f"base-url: http://127.0.0.1\nlisten-http: '-'\nlisten-unix: {at('socket')}\nauth-file: {at('auth.db')}\n"
        f"auth-default-access: deny-all\ncache-file: {at('cache.db')}\nweb-root: disable\n"
    )


def account(verb, *args):
    done = subprocess.run(
        [program, verb, "--config", at("server.yml"), *args], env={"NTFY_PASSWORD": "secret"}, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        sys.exit(f"{verb}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


log = open(at("server.log"), "w")
server = subprocess.Popen([program, "serve", "--config", at("server.yml")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def end(code):
    server.kill()
    server.wait()
    os._exit(code)


def until_the_caller_ends():
    sys.stdin.buffer.read()
    end(0)


threading.Thread(target=until_the_caller_ends, daemon=True).start()
# It makes the database of accounts and the socket before it serves.
while not os.path.exists(at("socket")) or not os.path.exists(at("auth.db")):
    if server.poll() is not None:
        sys.exit(open(at("server.log")).read())
    time.sleep(0.01)
account("user", "add", "mac")
account("access", "mac", "backups", "rw")
with open(at("token"), "w") as f:
    f.write(re.search(r"tk_[a-z0-9]+", account("token", "add", "mac"))[0])


async def pour(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def hand_on(reader, writer):
    inner = await asyncio.open_unix_connection(at("socket"))
    await asyncio.gather(pour(reader, inner[1]), pour(inner[0], writer))


async def main():
    port = await asyncio.start_server(hand_on, "127.0.0.1", 0)
    print("listening", port.sockets[0].getsockname()[1], flush=True)
    await port.serve_forever()


try:
    asyncio.run(main())
finally:
    end(1)
