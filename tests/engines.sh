#!/usr/bin/env bash
# Real engines for the tests, side by side on one Linux machine: `make engines`.
#
#   tests/engines.sh up [NAME...]     install and start them (all of them, unless named); idempotent
#   tests/engines.sh down [NAME...]   stop them and undo every mount and bridge
#   tests/engines.sh status           one line an engine
#
# Needs root and Debian 12. What it starts is kept apart from any engine of yours: sockets in $RUN, images and
# containers in $STATE, a bridge an engine. Installs, with apt: docker.io, podman, debootstrap, iptables, for the browser
# tests chromium, and docker-registry and openssh-server, which tests run by themselves.
#
#   engine20   Docker Engine 20.10, the oldest that dockerlab supports (Debian 12's docker.io)
#   engine28   Docker Engine 28, in a root of its own made by debootstrap (Debian's next release)
#   engine28-containerd   the same, with its images in containerd's store
#   podman     Podman's Docker API (Debian 12's podman)
#
# and dockerlab's own, on each of its rungs:
#   embedded        as root
#   embedded-user   as a user without rights, in user namespaces
#   embedded-pod    in the stand-in for a Binder pod, a container of engine28 (tests/pod.py)
set -euo pipefail

ALL=(engine28 engine28-containerd engine20 podman embedded embedded-user embedded-pod)
PROJECT=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=$PROJECT/.venv/bin/python
USER_ID=1000
RUN=${DOCKERLAB_ENGINES_RUN:-/run/dockerlab-engines}
STATE=${DOCKERLAB_ENGINES_STATE:-/var/lib/dockerlab-engines}
SUITE=forky
NETWORKS_28C=172.30.128.0/17 # where engine28-containerd has its networks, and no other engine

say() { printf 'engines: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

socket() { echo "$RUN/$1.sock"; }

answers() { curl --silent --fail --max-time 5 --unix-socket "$(socket "$1")" http://engine/_ping >/dev/null 2>&1; }

version() {
  curl --silent --max-time 5 --unix-socket "$(socket "$1")" http://engine/version |
    python3 -c 'import json,sys; v=json.load(sys.stdin); c=v.get("Components") or [{}]; print(c[0].get("Name","Engine"), v["Version"], "API", v["ApiVersion"])'
}

# Becomes a daemon, to be called in the background: it may outlive the folder that it was started from.
daemon() { cd / && exec setsid "$@"; }

# Waits until engine $1 answers, or shows the end of its log and gives up after 60 s.
wait_for() {
  local i
  for i in $(seq 300); do
    answers "$1" && { say "$1: $(version "$1") on unix://$(socket "$1")"; return; }
    sleep 0.2
  done
  tail -n 20 "$STATE/$1.log" >&2 || true
  die "$1 does not answer on $(socket "$1"); its log is $STATE/$1.log"
}

require() {
  [ "$(id -u)" = 0 ] || die "needs root: sudo make engines"
  command -v apt-get >/dev/null || die "needs apt (Debian or Ubuntu); elsewhere install Docker Engine and run: make test"
  local missing=() pair
  for pair in curl:curl ip:iproute2 ps:procps busybox:busybox-static dockerd:docker.io iptables:iptables podman:podman debootstrap:debootstrap chromium:chromium docker-registry:docker-registry sshd:openssh-server; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing ${missing[*]}"
  apt-get update -qq
  # No service starts by itself: these engines are run by hand, each on a socket of its own.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$STATE/apt.log" 2>&1 ||
    { tail -n 20 "$STATE/apt.log" >&2; die "apt-get install failed: $STATE/apt.log"; }
  # Nor with the next start of the machine, where nobody had wanted one.
  [[ " ${missing[*]} " != *" openssh-server "* ]] || systemctl disable --quiet ssh.service >/dev/null 2>&1 || true
}

# A bridge of its own, so that two daemons do not fight over docker0; it is the parent of its containers' cgroups, too.
bridge_of() { case $1 in engine28-containerd) echo dlab28c ;; *) echo "dlab${1#engine}" ;; esac; }

bridge() {
  ip link show "$1" >/dev/null 2>&1 || ip link add "$1" type bridge
  ip addr replace "$2" dev "$1"
  ip link set "$1" up
}

start_engine20() {
  bridge dlab20 172.30.20.1/24
  daemon dockerd --data-root "$STATE/engine20" --exec-root "$RUN/engine20" --pidfile "$RUN/engine20.pid" --bridge dlab20 \
    --cgroup-parent dlab20 -H "unix://$(socket engine20)" </dev/null >"$STATE/engine20.log" 2>&1 &
}

start_engine28() { debian_engine engine28 172.30.28.1/24; }

# Two of this release flush one another's rules of the firewall: this one keeps its rules in iptables-legacy's tables, which the other
# engines do not use. A packet passes only if neither tables drop it, and the others' would: hence `accept`, and no policy of its own.
start_engine28-containerd() {
  iptables-legacy -t nat -S >/dev/null 2>&1 || die "engine28-containerd needs tables of iptables-legacy in the kernel: modprobe iptable_nat"
  OWN_PATH=/legacy:$PATH debian_engine engine28-containerd "${NETWORKS_28C%.0/*}.1/24" --feature containerd-snapshotter=true \
    --default-address-pool "base=$NETWORKS_28C,size=24" --ip-forward-no-drop
  accept -D 2>/dev/null || true
  accept -I
}

accept() { iptables-nft "$1" FORWARD -s "$NETWORKS_28C" -j ACCEPT && iptables-nft "$1" FORWARD -d "$NETWORKS_28C" -j ACCEPT; }

# Engine 28 by the name $1, with a bridge of address $2; the rest are dockerd's options.
debian_engine() {
  local name=$1 bridge address=$2 root=$STATE/engine28-root mirror program packages=docker.io,docker-cli,docker-buildx,docker-compose,git,ca-certificates,iptables,iproute2,procps
  shift 2
  bridge=$(bridge_of "$name")
  if [ "$(cat "$root/.complete" 2>/dev/null)" != "$packages" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sed -n 1p)
    say "engine28: making its root with debootstrap (about a minute)"
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase --no-check-gpg --include="$packages" \
      "$SUITE" "$root" "${mirror:?no Debian mirror among the apt sources}" /usr/share/debootstrap/scripts/sid \
      >"$STATE/debootstrap.log" 2>&1 || { tail -n 20 "$STATE/debootstrap.log" >&2; die "debootstrap failed: $STATE/debootstrap.log"; }
    echo "$packages" >"$root/.complete"
  fi
  mkdir -p "$STATE/$name"
  # Where the machine trusts certificates of its own (a mirror, a proxy), its engine must too.
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  mkdir -p "$root/legacy"
  for program in iptables ip6tables; do ln -sfn "/usr/sbin/$program-legacy" "$root/legacy/$program"; done
  [ ! -e /etc/ssl/certs/ca-certificates.crt ] || cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
  bridge "$bridge" "$address"
  PATH=${OWN_PATH:-$PATH} daemon unshare --mount --propagation private bash -c "$(declare -f enter); enter \"\$@\"" enter "$root" "$RUN" "$STATE/$name" \
    dockerd --data-root /data --exec-root "/run/$name" --pidfile "$RUN/$name.pid" --bridge "$bridge" \
    --cgroup-parent "$bridge" -H "unix://$(socket "$name")" "$@" </dev/null >"$STATE/$name.log" 2>&1 &
}

# Makes folder $1 the root of this mount namespace, with $2 and $3 (as /data) in it, and runs the rest there. Not a chroot: under
# one, `docker exec` would end up in the host's root, because joining a container's mount namespace leads to that namespace's root.
enter() {
  local root=$1 run=$2 data=$3 fs
  shift 3
  mount --bind "$root" "$root"
  for fs in proc sys dev; do mount --rbind "/$fs" "$root/$fs"; done
  mount -t tmpfs tmpfs "$root/run"
  mkdir -p "$root$run" "$root/data" "$root/.host"
  mount --bind "$run" "$root$run"
  mount --bind "$data" "$root/data"
  cd "$root"
  pivot_root . .host
  cd /
  umount -l /.host
  exec "$@"
}

start_podman() {
  # Podman asks for more open files than a container's root may have here; without this no container starts.
  printf '[containers]\ndefault_ulimits = []\n' >"$STATE/podman.conf"
  # Each `version` and `info` asks dpkg what its programs are packages of, a second in all, and every client begins with one: here it
  # finds a dpkg that cannot be run. Mounts of the machine still reach its mount namespace, its own stay there.
  CONTAINERS_CONF=$STATE/podman.conf \
  daemon unshare --mount --propagation slave sh -c 'mount --bind /dev/null /usr/bin/dpkg && exec "$@"' sh \
    podman --root "$STATE/podman" --runroot "$RUN/podman" system service --time=0 "unix://$(socket podman)" \
    </dev/null >"$STATE/podman.log" 2>&1 &
  echo $! >"$RUN/podman.pid"
}

# dockerlab's engine with data in $STATE/$1 and its socket in $RUN/$1; the rest of the line is what runs it.
own() (
  name=$1
  shift
  cd / && env -i PATH="$PATH" HOME="$STATE/$name" DOCKERLAB_ENGINE_ROOT="$STATE/$name/root" DOCKERLAB_ENGINE_RUNTIME="$RUN/$name" \
    DOCKERLAB_ENGINE_IDLE=0 "$@"
)

start_embedded() {
  own embedded "$PYTHON" -m dockerlab.engine start >/dev/null 2>"$STATE/embedded.log"
  ln -sfn embedded/engine.sock "$(socket embedded)"
}

start_embedded-user() {
  local home=$STATE/embedded-user python
  mkdir -p "$home/site" "$RUN/embedded-user"
  # The environment's Python may lie in a directory that is closed to others.
  for python in "$(readlink -f "$PYTHON")" /usr/bin/python3; do
    # By way of a shell: setpriv itself still has root's rights when it looks for the program.
    as_user sh -c 'exec "$0" -c "import sys; sys.exit(sys.version_info < (3, 11))"' "$python" 2>/dev/null && break
    python=
  done
  [ -n "$python" ] || die "embedded-user: no Python 3.11 that every user may run; apt-get install python3"
  [ -e "$home/site/h2" ] ||
    "$PYTHON" -m pip --disable-pip-version-check --python "$python" install --quiet --target "$home/site" h11 h2 httpx zstandard 2>"$STATE/pip.log" ||
    { tail -n 5 "$STATE/pip.log" >&2; die "embedded-user: pip install failed: $STATE/pip.log"; }
  rm -rf "$home/site/dockerlab"
  cp -r "$PROJECT/dockerlab" "$home/site/"
  # As an installation does.
  "$python" -m compileall -q "$home/site"
  chmod -R a+rX "$home/site"
  chown "$USER_ID:$USER_ID" "$home" "$RUN/embedded-user"
  own embedded-user PYTHONPATH="$home/site" PYTHONDONTWRITEBYTECODE=1 setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups \
    "$python" -m dockerlab.engine start >/dev/null 2>"$STATE/embedded-user.log"
  ln -sfn embedded-user/engine.sock "$(socket embedded-user)"
}

as_user() { (cd / && setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups "$@"); }

start_embedded-pod() {
  answers engine28 || die "embedded-pod needs engine28: tests/engines.sh up engine28 embedded-pod"
  mkdir -p "$RUN/embedded-pod"
  chown "$USER_ID:$USER_ID" "$RUN/embedded-pod"
  DOCKER_HOST=unix://$(socket engine28) "$PYTHON" "$PROJECT/tests/pod.py" up "$RUN/embedded-pod" "$USER_ID" >"$STATE/embedded-pod.log" 2>&1 ||
    { tail -n 20 "$STATE/embedded-pod.log" >&2; die "embedded-pod: $STATE/embedded-pod.log"; }
  ln -sfn embedded-pod/engine.sock "$(socket embedded-pod)"
}

# Ends dockerlab's engine $1 and the containers that it runs.
stop_own() {
  local pid
  case $1 in
    embedded-pod) ! answers engine28 || DOCKER_HOST=unix://$(socket engine28) "$PYTHON" "$PROJECT/tests/pod.py" down >/dev/null ;;
    *)
      [ ! -x "$PYTHON" ] || own "$1" "$PYTHON" -m dockerlab.engine stop >/dev/null 2>&1 || true
      # One that was killed has left its monitors.
      for pid in $(grep -lzaF "DOCKERLAB_ENGINE_RUNTIME=$RUN/$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3); do
        [ "$(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^DOCKERLAB_ENGINE_RUNTIME=//p')" != "$RUN/$1" ] || kill -9 "$pid" 2>/dev/null || true
      done ;;
  esac
  rm -rf "${RUN:?}/$1" "$(socket "$1")"
}

up() {
  mkdir -p "$STATE" "$RUN"
  require
  local name
  for name in "$@"; do
    # One after the other: two daemons that set up iptables at the same moment trip over one another.
    case $name in
      # Ours is started anew: it may have been changed.
      embedded*) [ -x "$PYTHON" ] || die "$name needs .venv: make engines"; stop "$name"; "start_$name" ;;
      *) answers "$name" || { stop "$name"; "start_$name"; } ;;
    esac
    wait_for "$name"
    # Under sudo, the user who asked is who runs the tests.
    [ -z "${SUDO_UID:-}" ] || chown "$SUDO_UID" "$(socket "$name")"
  done
}

# The processes whose command line names engine $1's socket: its daemon, whatever a pid file of an earlier run says.
daemons() { grep -lzE "(^|/)(dockerd|podman)$" /proc/[0-9]*/cmdline 2>/dev/null | while read -r line; do
    grep -qaF "unix://$(socket "$1")" "$line" 2>/dev/null && basename "$(dirname "$line")"; done || true; }

# What a daemon that died leaves running: its containerd and shims, and the containers, by their cgroup.
leftovers() {
  local process pid
  for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    if { grep -qa containerd "$process/cmdline" && grep -qaE "(^|[^a-z])(/run|$RUN)/$1/" "$process/cmdline"; } 2>/dev/null ||
       grep -qE "/$(bridge_of "$1")(/|$)" "$process/cgroup" 2>/dev/null; then echo "$pid"; fi
  done
}

stop() {
  local pid i run
  case $1 in embedded*) stop_own "$1"; return ;; esac
  for pid in $(daemons "$1"); do
    kill "$pid" 2>/dev/null || true
    for i in $(seq 150); do [ -e "/proc/$pid" ] || break; sleep 0.1; done
    [ ! -e "/proc/$pid" ] || kill -9 "$pid" 2>/dev/null || true
  done
  if [ "$1" != podman ]; then
    for pid in $(leftovers "$1"); do kill -9 "$pid" 2>/dev/null || true; done
    # Its runtime folder, with the mounts and pid files in it, is of no use to the next daemon.
    for run in "$RUN/$1" "$STATE/$1-root/run/$1"; do
      awk -v below="$run/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r i; do umount -l "$i" || true; done
      rm -rf --one-file-system "$run"
    done
  fi
  rm -f "$RUN/$1.pid" "$(socket "$1")"
}

down() {
  local name
  for name in "$@"; do
    stop "$name"
    case $name in
      engine28-containerd) accept -D 2>/dev/null || true ;;&
      engine*) ip link del "$(bridge_of "$name")" 2>/dev/null || true ;;
    esac
    say "$name: stopped"
  done
}

status() {
  local name
  for name in "${ALL[@]}"; do
    if answers "$name"; then say "$name: $(version "$name") on unix://$(socket "$name")"; else say "$name: not running"; fi
  done
}

verb=${1:-}; shift || true
for name in "$@"; do [[ " ${ALL[*]} " == *" $name "* ]] || die "no engine named '$name'; there are: ${ALL[*]}"; done
[ $# -gt 0 ] || set -- "${ALL[@]}"
case $verb in
  up) up "$@" ;;
  down) [ "$(id -u)" = 0 ] || die "needs root: sudo tests/engines.sh down"; down "$@" ;;
  status) status ;;
  *) die "usage: tests/engines.sh up|down|status [NAME...]" ;;
esac
