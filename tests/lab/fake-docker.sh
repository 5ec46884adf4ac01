#!/bin/sh
# fake-docker.sh : answers the agent as docker with compose does, in milliseconds and without an engine.
# A container is a file in containers/ beside this script, named PROJECT.SERVICE.NUMBER, that says running, exited or gone; what
# compose knows lies in known/ (tests/src/engine.rs writes it). No program is started here, so each change of state is one write of
# this process, and a test can stand still before each. A file that a kill left empty is a container that does not run.
# How it fails, if it is to fail, is said in broken/: "dead" refuses all, a verb's name lets this verb hang.
here=${0%/*}
verb=
hang() { # stands still in the middle of the verb $1, if it is to, until somebody listened to that and somebody said to go on
  local line
  if [ -e "$here/broken/$1" ]; then
    echo "$1" >"$here/hangs"
    read -r line <"$here/goes-on" || true
  fi
}
fault() { echo "$*" >&2; exit 1; }
if [ -e "$here/broken/dead" ]; then fault "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"; fi
state() { state=; if [ -e "$here/containers/$1" ]; then read -r state <"$here/containers/$1"; fi; }
becomes() { echo "$2" >"$here/containers/$1"; }
each() { # each PROJECT FUNCTION : all projects, where it is *
  local file
  for file in "$here"/containers/$1.*; do
    [ -e "$file" ] || continue
    file=${file##*/}
    state "$file"
    "$2" "$file"
  done
}
stop() { if [ "$state" = running ]; then becomes "$1" exited; fi; }
remove() { if [ "$state" != gone ]; then becomes "$1" gone; fi; }
list() { if [ "$state" != gone ]; then echo "$1"; fi; }
show() {
  local line
  [ "$state" = running ] || state=exited
  while read -r line; do
    case $line in *@STATE@*) line="${line%@STATE@*}$state${line#*@STATE@}" ;; esac
    echo "$line"
  done <"$here/known/$1"
}

case "$1 $2" in
  "version "*) hang version; echo 27.5.1 ;;
  "compose version") echo 2.32.4 ;;
  "container ls") hang ls; each '*' list ;;
  "container inspect")
    shift 2
    separator='['
    for id; do
      state "$id"
      echo "$separator"
      show "$id"
      separator=,
    done
    echo ']'
    ;;
  "container diff") ;; # nobody keeps anything in a container
  "compose --ansi")
    shift
    project=
    while :; do
      case $1 in
        --project-name) project=$2; shift 2 ;;
        --file) [ -e "$2" ] || fault "open $2: no such file or directory"; shift 2 ;;
        --ansi | --project-directory | --env-file | --profile) shift 2 ;;
        *) verb=$1; shift; break ;;
      esac
    done
    hang "$verb"
    case $verb in
      config)
        file=$here/known/$project
        [ "$1" = --hash ] || file=$file.json
        while read -r line; do echo "$line"; done <"$file"
        ;;
      stop) each "$project" stop ;;
      down) each "$project" stop; each "$project" remove ;;
      up)
        while [ $# -gt 0 ]; do
          if [ "$1" = --scale ]; then
            service=${2%=*} number=1
            while [ $number -le "${2#*=}" ]; do
              [ -e "$here/known/$project.$service.$number" ] || fault "no such service: $service"
              state "$project.$service.$number"
              [ "$state" = running ] || becomes "$project.$service.$number" running
              number=$((number + 1))
            done
            shift
          fi
          shift
        done
        ;;
      *) fault "this docker does not know: compose $verb $*" ;;
    esac
    ;;
  *) fault "this docker does not know: $*" ;;
esac
