#!/usr/bin/env bash
# Install or update a Wardlight gateway on a Raspberry Pi with a 64-bit Raspberry Pi OS (or any Debian 12 or newer).
#
#   sudo deploy/raspberry-pi/install.sh              install, or update to this checkout; safe to run again
#   sudo deploy/raspberry-pi/install.sh --dry-run    say what it would do, change nothing
#   sudo deploy/raspberry-pi/install.sh --keep-logs  leave the system's log settings alone
#
# Settings and readings are never overwritten: /etc/wardlight/gateway.toml and /var/lib/wardlight stay as they are.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_tree=$(cd "$here/../.." && pwd)
target=/opt/wardlight
releases=/opt/wardlight-releases
root= # a prefix for everything that is written, for tests and for making an image
dry_run=
keep_logs=

say() { printf 'wardlight: %s\n' "$*"; }
fail() {
    printf 'wardlight: %s\n' "$*" >&2
    exit 1
}
run() { if [ -n "$dry_run" ]; then printf '  would run: %s\n' "$*"; else "$@"; fi; }

while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry_run=yes ;;
        --keep-logs) keep_logs=yes ;;
        --root) root=${2:?--root needs a folder}; shift ;;
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
        *) fail "unknown option $1; see --help" ;;
    esac
    shift
done

check_machine() {
    [ -n "$dry_run$root" ] || [ "$(id -u)" -eq 0 ] || fail "this changes the system: run it with sudo"
    case $(uname -m) in
        aarch64 | x86_64) ;;
        *) fail "$(uname -m) is not supported: install the 64-bit Raspberry Pi OS (the Bluetooth libraries exist for it only)" ;;
    esac
    command -v apt-get >/dev/null || fail "no apt-get here: this script knows Raspberry Pi OS and Debian only"
}

install_packages() {
    local wanted=() package
    for package in bluez dbus python3-venv; do
        dpkg -s "$package" >/dev/null 2>&1 || wanted+=("$package")
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    say "installing ${wanted[*]}"
    run apt-get update -qq
    run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}"
}

make_user() {
    id wardlight >/dev/null 2>&1 && return 0
    say "creating the system user wardlight"
    run useradd --system --home-dir /var/lib/wardlight --shell /usr/sbin/nologin --groups bluetooth wardlight
}

# Each version has a folder of its own and /opt/wardlight is a link to the one in use, exchanged in one step: whenever
# the power goes, the old version or the new one is there, whole. The one before stays for going back.
install_program() {
    local version release
    version=$(git -c safe.directory="$source_tree" -C "$source_tree" describe --always --dirty 2>/dev/null || echo unversioned)
    case $version in *-dirty | unversioned) version=$version-$(date -u +%Y%m%dT%H%M%S) ;; esac
    release=$releases/$version
    if [ -e "$root$release/.complete" ] && [ "$(readlink "$root$target" || true)" = "$release" ]; then
        say "version $version is installed already"
        return 0
    fi
    say "installing version $version to $release"
    run rm -rf "$root$release"
    run mkdir -p "$root$release"
    run cp -a "$source_tree"/{pyproject.toml,uv.lock,README.md,LICENSE,.ci,vitals,gateway,ingest,alerts,simulators,wardlight,deploy,docs} "$root$release/"
    if [ -n "$dry_run" ]; then
        say "  would make the Python environment and let $target point to it"
        return 0
    fi
    "$root$release/.ci/bootstrap" gateway || fail "the Python environment could not be made; what ran before goes on running"
    touch "$root$release/.complete"
    sync -f "$root$release"
    previous=$(readlink "$root$target" || true)
    [ ! -d "$root$target" ] || [ -L "$root$target" ] || fail "$target is a folder and not made by this script: move it away"
    ln -sfn "$release" "$root$target.next"
    mv -T "$root$target.next" "$root$target"
    forget_older "$release" "$previous"
}

forget_older() { # NEW PREVIOUS: every other release goes
    local each
    for each in "$root$releases"/*; do
        case $each in "$root$1" | "$root$2") ;; *) rm -rf "$each" ;; esac
    done
}

place() { # FILE DESTINATION MODE: copy it unless it is there already just so
    cmp -s "$1" "$root$2" && return 0
    say "writing $2"
    run install -D -m "$3" "$1" "$root$2"
}

install_settings() {
    run mkdir -p "$root/etc/wardlight"
    [ -e "$root/etc/wardlight/gateway.toml" ] || place "$here/gateway.toml" /etc/wardlight/gateway.toml 0640
    if [ -z "$root$dry_run" ]; then chgrp -R wardlight /etc/wardlight && chmod 0750 /etc/wardlight; fi
    place "$here/wardlight-gateway.service" /etc/systemd/system/wardlight-gateway.service 0644
    place "$here/wardlight-radio.rules" /etc/polkit-1/rules.d/50-wardlight-radio.rules 0644
    [ -n "$keep_logs" ] || place "$here/journald-wardlight.conf" /etc/systemd/journald.conf.d/wardlight.conf 0644
}

start() {
    [ -z "$root" ] || return 0
    run systemctl daemon-reload
    [ -n "$keep_logs" ] || run systemctl restart systemd-journald
    if grep -q 'ward-server.example' /etc/wardlight/gateway.toml 2>/dev/null || [ -n "$dry_run" ]; then
        say "next: write the server's address into /etc/wardlight/gateway.toml, put the certificates beside it, then"
        say "      sudo -u wardlight $target/.venv/bin/wardlight gateway scan"
        say "      sudo systemctl enable --now wardlight-gateway"
        return 0
    fi
    run systemctl enable wardlight-gateway
    run systemctl restart wardlight-gateway
    say "running; see it with: $target/.venv/bin/wardlight gateway status"
}

check_machine
install_packages
[ -n "$root" ] || make_user
install_program
install_settings
start
