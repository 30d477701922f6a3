"""What is the plane's own on a machine is known, so that no agent is shown it."""

from dataclasses import replace
from pathlib import Path

from ringfence.app.own_file import own_files
from ringfence.config.loading import load
from ringfence.config.settings import Settings

_TEXT = """\
format: 1
organisation: acme
users:
  owner@acme.example: {roles: [admin]}
policies: policies
secrets:
  crm: {file: keys/crm, bind: {host: api.crm.example, as: bearer}}
"""


def test_what_decides_proves_or_is_secret_is_the_planes_own(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "crm").write_text("value")
    config = tmp_path / "ringfence.yaml"
    config.write_text(_TEXT)
    [acme] = load(config, {}).configuration.organisations.values()
    settings = Settings(
        config=config,
        data=tmp_path / ".ringfence",
        signing_key=Path("/srv/keys/signing"),
        witnesses=("/mnt/witness.jsonl", "https://witness.example/log"),
    )
    assert own_files(acme, settings) == (
        str(config),
        f"{tmp_path}/.ringfence",
        f"{tmp_path}/organisations",
        f"{tmp_path}/policies",
        "/srv/keys/signing",
        "/mnt/witness.jsonl",
        f"{tmp_path}/keys/crm",
    )
    authority = replace(acme.egress, authority="/srv/ca.pem")
    assert own_files(replace(acme, egress=authority), settings)[-1] == "/srv/ca.pem"
