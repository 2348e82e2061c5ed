#!/usr/bin/env bash
# Installs the servers that tests start for themselves: Slurm, PostgreSQL, sshd.
# Asks for nothing that is there. Where it may not install, it says which tests are skipped.
# No server is left running, and none starts with the machine because of it.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/apt.sh
. scripts/apt.sh

readonly policy=/usr/sbin/policy-rc.d
readonly mark="Of the tests of Tieline; may be removed."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

missing=()
units=()
# Each line: a package, a program or file by which it is known, the service that it brings.
while read -r package sign unit; do
    if ! { command -v "$sign" || compgen -G "$sign"; } >/dev/null; then
        missing+=("$package")
        units+=(${unit:+"$unit"})
    fi
done <<'END'
slurmctld slurmctld slurmctld.service
slurmd slurmd slurmd.service
slurmrestd slurmrestd slurmrestd.service
slurm-client sbatch
slurm-wlm-basic-plugins /usr/lib/*/slurm*/auth_munge.so
slurm-wlm-jwt-plugin /usr/lib/*/slurm*/auth_jwt.so
munge munged munge.service
postgresql /usr/lib/postgresql/*/bin/initdb postgresql.service
openssh-server sshd ssh.service
openssh-client ssh
iproute2 ip
util-linux unshare
END
if [ ${#missing[@]} = 0 ]; then exit 0; fi

without="what needs them is skipped, and fails in CI. As root on Debian: apt-get install ${missing[*]}"
if ! may_install; then
    say "missing, and only root can install them with apt-get; $without"
    exit 0
fi

# Debian starts what it installs, unless this file forbids it.
if grep -qs "$mark" "$policy"; then rm -f "$policy"; fi  # left by one that was killed
if ! [ -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\n# %s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi
apt_install "${missing[@]}" || say "apt-get failed, see the lines above; $without"

# Nor are they to start with the machine, where nobody has wanted them before.
if command -v systemctl >/dev/null; then
    for unit in "${units[@]}"; do
        systemctl --quiet disable "$unit" 2>/dev/null || true
    done
fi
