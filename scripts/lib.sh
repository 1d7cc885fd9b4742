# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here, the scripts use
# What the scripts share. Sourced, never run: set -euo pipefail is the caller's.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/taskava
state=${XDG_STATE_HOME:-$HOME/.local/state}/taskava

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# usage: prints the comment at the head of the calling script, which is its --help.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$0"; }

# as_root CMD…: with sudo where needed; on a terminal only after asking once. The question and sudo's own use
# the terminal itself, whatever is redirected.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
        return
    fi
    command -v sudo >/dev/null || die "needs root and there is no sudo; run as root: $*"
    if ! (: </dev/tty) 2>/dev/null; then
        # Without a terminal no password can be typed: fail instead of waiting.
        sudo -n "$@"
        return
    fi
    if [ -z "${sudo_allowed:-}" ]; then
        local answer
        printf 'This needs root, now and for what follows: sudo %.100s … [Y/n] ' "$*" >/dev/tty
        read -r answer </dev/tty
        case $answer in '' | [yY]*) export sudo_allowed=1 ;; *) die "not run: $*" ;; esac
    fi
    sudo "$@"
}

# need COMMAND PACKAGE…: installs the packages where the command is missing.
need() {
    local command=$1
    shift
    PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null && return
    install_packages "$command" "$@"
}

# need_package PACKAGE: installs a package that brings no command.
need_package() {
    dpkg -s "$1" >/dev/null 2>&1 || install_packages "$1" "$1"
}

# install_packages WHAT PACKAGE…: installs the packages, as WHAT is missing.
install_packages() {
    local command=$1
    shift
    command -v apt-get >/dev/null || die "$command is missing; install it (on Debian: apt-get install $*)"
    say "installing $* ($command is missing)"
    local log
    log=$(mktemp)
    if [ -z "${apt_updated:-}" ]; then
        # One source of several that does not answer must not stop the rest.
        as_root apt-get -qq update >"$log" 2>&1 || say "apt-get update: not every source answered"
        apt_updated=1
    fi
    # Without systemd a package may start its service by itself, which nothing would ever stop: not while this installs.
    # shellcheck disable=SC2016  # expanded by the inner shell, as root
    if ! as_root sh -ec '
        policy=/usr/sbin/policy-rc.d
        if [ ! -d /run/systemd/system ] && [ ! -e $policy ]; then
            trap "rm -f $policy" EXIT
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod 755 $policy
        fi
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$@"
    ' sh "$@" >>"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        die "installing $* failed"
    fi
    rm -f "$log"
}

# need_rust: cargo, and the C compiler and linker that it calls.
need_rust() {
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null || die "cargo is missing; install Rust, for example with rustup"
    need cc gcc libc6-dev
}

# debian_mirror: the mirror this machine takes Debian from; nothing (= the tools' default) elsewhere.
debian_mirror() {
    { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
        sed -nE 's/^deb (\[[^]]*\] )?([^ ]+\/debian\/?) .*/\2/p' | head -n 1 | grep . && return
    { cat /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
        sed -nE 's/^URIs: *([^ ]+\/debian\/?)( .*)?$/\1/p' | head -n 1
}

# --- the engine ---------------------------------------------------------------------------------------------------------

# candidates: where an engine may listen, best first, as in `taskava dev`.
candidates() {
    if [ -n "${DOCKER_HOST:-}" ]; then
        echo "$DOCKER_HOST"
        return
    fi
    # The docker client knows its contexts; where there is none, the usual sockets.
    local host
    if command -v docker >/dev/null && host=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null); then
        echo "$host"
    fi
    printf 'unix://%s\n' /var/run/docker.sock ${XDG_RUNTIME_DIR:+"$XDG_RUNTIME_DIR/docker.sock"} \
        "$HOME/.docker/run/docker.sock" "$HOME/.docker/desktop/docker.sock" "$HOME/.orbstack/run/docker.sock" \
        "${COLIMA_HOME:-$HOME/.colima}/default/docker.sock" ${XDG_RUNTIME_DIR:+"$XDG_RUNTIME_DIR/podman/podman.sock"}
}

# use_engine HOST: makes `api` talk to it.
use_engine() {
    case $1 in
        unix://*) engine=(--unix-socket "${1#unix://}" http://engine) ;;
        tcp://* | http://*)
            if [ -n "${DOCKER_TLS_VERIFY:-}" ]; then
                local pem=${DOCKER_CERT_PATH:-$HOME/.docker}
                engine=(--cacert "$pem/ca.pem" --cert "$pem/cert.pem" --key "$pem/key.pem" "https://${1#*://}")
            else
                engine=("http://${1#*://}")
            fi
            ;;
        *) return 1 ;;
    esac
}

# api METHOD PATH [CURL OPTION…]: one request to the engine's API; the answer on standard output, errors too.
api() {
    local method=$1 path=$2 last=$((${#engine[@]} - 1))
    shift 2
    curl --silent --show-error --fail-with-body --noproxy '*' --request "$method" "${engine[@]:0:last}" "$@" "${engine[last]}$path"
}

# find_engine: true when an engine answers; `api` then talks to it.
find_engine() {
    local host
    for host in $(candidates); do
        use_engine "$host" || continue
        if [ "$(api GET /_ping --max-time 5 2>/dev/null)" = OK ]; then
            engine_host=$host
            return 0
        fi
    done
    return 1
}

# need_engine: finds the engine, or installs and starts one. Sets engine_started to how, when this call started it.
need_engine() {
    engine_started=
    need curl curl ca-certificates
    find_engine && return
    if [ -n "${DOCKER_HOST:-}" ]; then
        die "no engine answers at DOCKER_HOST=$DOCKER_HOST; start it, or unset DOCKER_HOST to have one started here"
    fi
    [ "$(uname -s)" = Linux ] || die "no engine answers; start Docker Desktop, OrbStack or Colima"
    need dockerd docker.io iptables
    if [ -d /run/systemd/system ]; then
        say "starting the engine: systemctl start docker"
        as_root systemctl start docker
        engine_started=systemd
    elif [ ! -e "/proc/$(cat /var/run/docker.pid 2>/dev/null)/comm" ]; then
        say "starting the engine: dockerd (log: $engine_log)"
        # Its own session, so that Ctrl-C here does not stop it. The caller's group may use the socket.
        # shellcheck disable=SC2016  # expanded by the inner shell, as root
        as_root sh -c 'PATH=$PATH:/usr/sbin:/sbin setsid dockerd --group "$1" >>"$2" 2>&1 </dev/null &' \
            sh "$(id -gn)" "$engine_log"
        engine_started=dockerd
    fi
    if [ "$engine_started" != dockerd ] && [ "$(id -u)" != 0 ] && [ ! -w /var/run/docker.sock ]; then
        die "$(id -un) may not talk to the engine; once: sudo usermod -aG docker $(id -un), then log in again"
    fi
    local i
    for ((i = 0; i < 300; i++)); do
        find_engine && return
        sleep 0.1
    done
    [ "$engine_started" != dockerd ] || tail -n 20 "$engine_log" >&2
    die "the engine does not answer after 30 s"
}
engine_log=/var/log/dockerd.log

# stop_engine: stops what need_engine started, and waits until it has gone.
stop_engine() {
    case $engine_started in
        systemd) as_root systemctl stop docker.socket docker ;;
        dockerd) stop_process "$(cat /var/run/docker.pid)" ;;
    esac
    engine_started=
}

stop_process() {
    local i
    as_root kill "$1"
    for ((i = 0; i < 300; i++)); do
        [ -e "/proc/$1" ] || return 0
        sleep 0.1
    done
    die "process $1 does not stop"
}

# have_image REF [LABEL]: is it on the engine, with this label?
have_image() {
    local label=
    [ -z "${2:-}" ] || label=",\"label\":[\"$2\"]"
    [ "$(api GET /images/json -G --data-urlencode "filters={\"reference\":[\"$1\"]$label}" | tr -d '[:space:]')" != '[]' ]
}

# --- what the stack is made of ------------------------------------------------------------------------------------------

# services: "NAME IMAGE" for each service of services.toml that has an image.
services() {
    awk '/^\[/ { name = "" }
         /^\[services\.[^].]+\]/ { name = $1; gsub(/^\[services\.|\].*$/, "", name) }
         name != "" && /^image *= *"/ { split($0, part, "\""); print name, part[2] }' "$root/services.toml"
}

# stand_ins: the folders of docker/ that an image is built from.
stand_ins() {
    local dir
    for dir in "$root"/docker/*/Dockerfile; do basename "$(dirname "$dir")"; done
}

# official NAME: the image that services.toml names; nothing for what is not a service there.
official() { services | awk -v name="$1" '$1 == name { print $2 }'; }
# stand_in NAME: the image that docker/NAME builds, from its Dockerfile's first line.
stand_in() { sed -n '1s/^# Image: *//p' "$root/docker/$1/Dockerfile"; }
