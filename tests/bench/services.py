"""Services over the bench's data, in containers of the lab, and how long they are down for a backup."""
import os, time
from contextlib import contextmanager
from pathlib import Path

from measure import cold, do

NAME = "offsite-bench"
COMPOSE = """name: {name}
services:
  db:
    image: offsite-lab/postgres:1
    pull_policy: never
    user: "{user}"
    command: ["postgres", "-D", "/data", "-c", "listen_addresses=*", "-c", "unix_socket_directories=/tmp"]
    stop_signal: SIGINT # fast shutdown, as the upstream image
    stop_grace_period: 60s
    shm_size: 128m
    volumes: ["./db/data:/data"]
  load:
    image: offsite-lab/postgres:1
    pull_policy: never
    init: true
    command: ["sh", "-c", "while :; do pgbench -n -h db -U postgres -R 20 -T 86400 -f /night.sql postgres; sleep 0.2; done"]
    stop_grace_period: 2s
    volumes: ["{script}:/night.sql:ro"]
  web:
    image: offsite-lab/busybox:1
    pull_policy: never
    init: true
    command: ["httpd", "-f", "-p", "80", "-h", "/srv"]
    stop_grace_period: 2s
    volumes: ["./photos:/srv:ro"]
"""
# The agent's docker command: it notes when each call began and ended, so that what is compose's own can be told from what is ours.
NOTING = """#!/bin/sh
began=$(date +%s.%N)
docker "$@"
code=$?
echo "$began $(date +%s.%N) $*" >>"{log}"
exit $code
"""


def compose(tree, *arguments):
    return do(["docker", "compose", "--project-directory", tree, "-f", tree / "compose.yaml", *arguments])


@contextmanager
def running(tree, script):
    owner = os.stat(tree / "db/data")
    (tree / "compose.yaml").write_text(COMPOSE.format(name=NAME, user=f"{owner.st_uid}:{owner.st_gid}", script=script))
    try:
        compose(tree, "up", "-d")
        yield
    finally:
        remove(tree)


def remove(tree):
    compose(tree, "down", "--volumes", "--remove-orphans", "--timeout", "10")
    (tree / "compose.yaml").unlink()


def settle(tree):
    """The database answers and has work, then everything is put on the disk and out of memory."""
    for _ in range(150):
        try:
            compose(tree, "exec", "-T", "db", "psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "select 1", "postgres")
            break
        except Exception:
            time.sleep(0.2)
    else:
        raise TimeoutError("the database does not answer")
    time.sleep(2)
    cold()


def seconds(call, *arguments, **options):
    began = time.monotonic()
    call(*arguments, **options)
    return time.monotonic() - began


def by_tar(tree, out):
    """down, tar czf, up: seconds of each; without a file, down and up alone."""
    settle(tree)
    down = seconds(compose, tree, "down")
    packed = seconds(do, ["tar", "-C", tree, "-czf", out, "."]) if out else 0.0
    return down, packed, seconds(compose, tree, "up", "-d")


def by_agent(tree, agent):
    """Seconds away by the agent's journal, and how many of them lie between the end of `down` and the beginning of `up`."""
    log = Path(agent.home) / "docker.log"
    log.unlink(missing_ok=True)
    settle(tree)
    agent.backup()
    away = max(project["seconds"] for project in agent.last_run()["quiesced"])
    calls = [line.split() for line in log.read_text().splitlines()]
    verbs = lambda *names: [(float(call[0]), float(call[1])) for call in calls if any(name in call for name in names)]
    return away, min(verbs("up", "start"))[0] - max(verbs("down", "stop"))[1]
