"""Access files: what they hold, and that each mistake is one line."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from tieline.cli.check import check
from tieline.files.access import AccessRules, Issuer, Limits, read_access
from tieline.files.problems import FileErrors

OIDC = "oidc: {issuer: i, audience: a, "


def read(folder: Path, text: str) -> AccessRules:
    """Read an access file with this text."""
    (folder / "access.yaml").write_text(text)
    return read_access(folder / "access.yaml")


def test_a_file_with_everything_is_read(tmp_path: Path) -> None:
    """Every field is taken over; a file of keys is looked for beside the access file."""
    found = read(
        tmp_path,
        """
tokens: false
hosts: [Tieline.Example.Org, "[2001:db8::1]"]
proxies: [10.0.0.0/8]
public_metrics: true
oidc:
  issuer: https://id.example.org/realms/hpc
  audience: tieline
  jwks_file: keys.json
  algorithms: [EdDSA, PS512]
  name_claim: preferred_username
  role_claim: realm_access.roles
  tenant_claim: org
  roles: {hpc-admin: operator}
  leeway: 1min
limits: {per_identity: 5, per_address: 7.5, burst: 3s, connections: 20}
""",
    )
    assert found == AccessRules(
        tokens=False,
        oidc=Issuer(
            issuer="https://id.example.org/realms/hpc",
            audience="tieline",
            jwks=tmp_path / "keys.json",
            algorithms=("EdDSA", "PS512"),
            name_claim="preferred_username",
            role_claim="realm_access.roles",
            tenant_claim="org",
            roles={"hpc-admin": "operator"},
            leeway_s=60.0,
        ),
        hosts=frozenset({"tieline.example.org", "2001:db8::1"}),
        proxies=("10.0.0.0/8",),
        public_metrics=True,
        limits=Limits(5.0, 7.5, 3.0, 20),
    )


def test_a_short_file_has_the_defaults(tmp_path: Path) -> None:
    """A file that says only that tokens are taken is complete."""
    assert read(tmp_path, "tokens: true") == AccessRules()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tokens: false", "1: tokens: false, without `oidc`; nobody could come in"),
        ("token: true", "1: token: unknown field 'token'; did you mean tokens?"),
        ("hosts: [a b]", "1: hosts[0]: 'a b'; allowed: a name or address"),
        ("proxies: [somewhere]", "1: proxies[0]: 'somewhere'; allowed: an address or a network"),
        ("limits: {per_identity: 0}", "1: limits.per_identity: 0; allowed: a number above 0"),
        ("limits: {connections: 0}", "1: limits.connections: 0; allowed: a whole number from 1"),
        (OIDC + "jwks_file: k, algorithms: [HS256]}", "oidc.algorithms[0]: unknown algorithm"),
        (OIDC + "jwks_file: k, algorithms: [none]}", "oidc.algorithms[0]: unknown algorithm"),
        (OIDC + "jwks_file: k, algorithms: []}", "oidc.algorithms: a list; allowed"),
        (OIDC + "jwks_file: k, roles: {x: root}}", "oidc.roles.x: unknown role 'root'"),
        (OIDC + "jwks_file: k, leeway: 1h}", "oidc.leeway: '1h'; allowed"),
        (OIDC + "jwks_url: http://id.example.org/k}", "oidc.jwks_url: 'http://id.example.org/k'"),
        (OIDC + "jwks_url: ftp://x}", "oidc.jwks_url: 'ftp://x'; allowed: an https address"),
        (OIDC + "jwks_url: https://x/k, jwks_file: k}", "oidc: both places of keys"),
        (OIDC.rstrip(", ") + "}", "oidc: no place of keys"),
        ("oidc: {issuer: i, jwks_file: k}", "oidc.audience: missing; needed"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    """What is wrong is told with its line and field, what was found and what is allowed."""
    with pytest.raises(FileErrors) as found:
        read(tmp_path, text)
    assert len(found.value.problems) == 1
    assert line in str(found.value)


@pytest.mark.parametrize("url", ["https://id.example.org/k", "http://127.0.0.1:1/k"])
def test_keys_come_over_a_safe_way(tmp_path: Path, url: str) -> None:
    """Keys are fetched by https, or by http from this machine."""
    found = read(tmp_path, f"{OIDC}jwks_url: '{url}'}}")
    assert found.oidc is not None
    assert found.oidc.jwks == url


def test_check_knows_access_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tieline check` says who may come in by a good file, and what is wrong in another."""
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(f"{OIDC}jwks_file: keys.json}}\nhosts: [t.example.org]\n")
    Path("bad.yaml").write_text("tokens: perhaps\n")
    result = CliRunner().invoke(check, ["good.yaml", "bad.yaml"])
    assert result.exit_code == 2
    good, bad = result.stdout.splitlines()
    assert good == (
        "good.yaml: access file OK: tokens and JSON Web Tokens of i; served as t.example.org"
    )
    assert bad.startswith("bad.yaml:1: tokens: 'perhaps'; allowed: true or false")
