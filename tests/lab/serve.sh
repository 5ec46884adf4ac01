# serve.sh : sourced by pi.sh and newpi.sh. `serve` runs sshd by /run/sshd/config on 127.0.0.1 until it or the caller's standard input ends.
#   dir  the folder for sshd.log    wanted  the port, if one is named    ready PORT  what is done before "listening PORT" is said

free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
listen() { # starts sshd on port $1; its words go to the log; fails if it ends before it listens
  local line
  exec {said}< <(exec /usr/sbin/sshd -D -e -f /run/sshd/config -p "$1" 2>&1)
  while read -r line <&"$said"; do
    echo "$line" >>"$dir/sshd.log"
    case $line in "Server listening on 127.0.0.1 port $1."*) return 0 ;; esac
  done
  return 1
}
serve() {
  local port spoken caller
  # Between choosing a free port and listening on it another may take it: then the next one.
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    port=${wanted:-$(free_port)}
    listen "$port" || continue
    exec 4<&0
    cat <&"$said" >>"$dir/sshd.log" &
    spoken=$! # ends with sshd
    cat <&4 >/dev/null &
    caller=$!
    ready "$port"
    echo "listening $port"
    exec >&-
    wait -n "$caller" "$spoken" || true
    exit 0 # the first process of its namespace: the kernel ends all the others with it
  done
  tail -n 5 "$dir/sshd.log" >&2
  exit 1
}
