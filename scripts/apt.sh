# Sourced by the scripts that may install packages of the system.

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }
fail() { say "$@"; exit 1; }
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# Two of these at once take turns: apt itself does not wait while another one updates its lists.
apt_install() {
    say "installing $* with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    local -r options=(-qq -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120)
    local told
    told=$(mktemp)
    if (
        if command -v flock >/dev/null; then flock 8; fi
        apt-get "${options[@]}" update &&
            apt-get "${options[@]}" install --no-install-recommends --yes "$@"
    ) 8<scripts/apt.sh </dev/null >"$told" 2>&1; then
        rm -f "$told"
    else
        cat "$told" >&2
        rm -f "$told"
        return 1
    fi
}
