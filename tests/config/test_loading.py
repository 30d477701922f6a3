import base64
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence.config.loading import Loaded, load
from ringfence.config.problem import ConfigurationError
from ringfence.config.section import Section
from ringfence.domain.agent import CATEGORY_DEFAULTS, Category
from ringfence.domain.organisation import Configuration

SMALLEST = "format: 1\norganisation: acme\n"

FULL = """\
format: 1
organisation:
  name: acme
  timezone: UTC
  budget: {usd: 5000, per: month}
  default_user: {budget: {usd: 5, per: day}, calls_per_minute: 60}
teams:
  support: {budget: {usd: 200, per: month}}
users:
  owner@acme.example: {roles: [admin]}
providers:
  openai: {protocol: openai, base_url: "https://api.openai.com/v1", credential: "${OPENAI_API_KEY}"}
  house: {protocol: openai, base_url: "http://localhost:8000/v1"}
models:
  gpt-5-mini: {provider: openai, fallback: [house-model]}
  house-model: {provider: house, upstream: llama-4, price: {input: 0.10, output: 0.40}}
tools:
  files: {command: [npx, --no-install, server-filesystem, /srv/docs], env: {LOG_LEVEL: warn}}
  crm: {url: "https://crm.example/mcp", credential: "${CRM_TOKEN}", irreversible: [delete_*]}
agents:
  triage:
    owner: owner@acme.example
    team: support
    category: bounded
    purpose: Route incoming tickets.
    models: [gpt-5-mini, house-model]
    tools: ["files__read_*", "crm__*"]
    hosts: [api.crm.example]
    commands: [git, python3]
    autonomy: ask_irreversible
    budget: [{usd: 5, per: day}, {usd: 0.20, per: invocation}]
    limits: {model_calls: 30, tool_calls: 60, output_tokens: 4000, depth: 1, seconds: 600}
    sandbox: strict
    on_store_failure: closed
    escalate_to: owner@acme.example
"""
"""The example of the design, with every kind of definition."""


def refused(path: Path, environment: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load(path, environment or {})
    return raised.value.render().replace(f"{path.parent}/", "")


def write(folder: Path, text: str | bytes, name: str = "ringfence.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_example_of_the_design_loads(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(FULL)
    organisation = loaded.configuration.organisations["acme"]
    assert loaded.secret_names == {"OPENAI_API_KEY", "CRM_TOKEN"}
    assert organisation.models["gpt-5-mini"].fallback == ("house-model",)
    assert organisation.agents["triage"].limits.output_tokens == 4000


class TestFiles:
    def test_a_missing_file_names_the_command_that_writes_one(self, tmp_path: Path) -> None:
        assert refused(tmp_path / "ringfence.yaml") == (
            "ringfence.yaml: no such file\n  `ringfence init` writes a starter"
        )

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        assert refused(tmp_path / "x") == "x: is a folder\n  name the file itself"

    def test_a_device_is_no_file(self) -> None:
        assert refused(Path("/dev/zero")) == "zero: is not a regular file"

    def test_an_endless_name_cannot_be_read(self, tmp_path: Path) -> None:
        assert "cannot be read\n  file name too long" in refused(tmp_path / ("x" * 300))

    @pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n...\n"])
    def test_an_empty_file_is_named(self, text: str, tmp_path: Path) -> None:
        path = write(tmp_path, text)
        assert refused(path) == "ringfence.yaml: is empty\n  `ringfence init` writes a starter"

    def test_what_is_not_utf_8_is_named_with_its_line(self, tmp_path: Path) -> None:
        path = write(tmp_path, SMALLEST.encode() + b"teams: {\xff: }\n")
        assert refused(path) == "ringfence.yaml:3:1: is not UTF-8\n  save the file as UTF-8"

    def test_utf_16_is_not_utf_8(self, tmp_path: Path) -> None:
        assert "is not UTF-8" in refused(write(tmp_path, SMALLEST.encode("utf-16")))

    def test_a_byte_order_mark_is_harmless(self, tmp_path: Path) -> None:
        assert load(write(tmp_path, SMALLEST.encode("utf-8-sig")), {}).notes == ()

    def test_a_huge_file_is_refused_unread(self, tmp_path: Path) -> None:
        path = write(tmp_path, b"#" * (4 * 1024 * 1024 + 1))
        assert refused(path) == "ringfence.yaml: is too large\n  at most 4 MiB"

    def test_a_large_file_full_of_mistakes_is_refused_quickly(self, tmp_path: Path) -> None:
        path = write(tmp_path, SMALLEST + "".join(f"key{i}: x\n" for i in range(20_000)))
        began = time.perf_counter()
        assert refused(path).count("unknown key") == 200
        assert time.perf_counter() - began < 5

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("organisation: acme\n", "ringfence.yaml:1:1: has no `format`"),
            ("format: 2\norganisation: acme\n", "ringfence.yaml:1:9: unknown format `2`"),
            ("format: one\n", "ringfence.yaml:1:9: unknown format `one`"),
            ("format: 1\n", "ringfence.yaml:1:1: the configuration has no `organisation`"),
            ("- a\n", "ringfence.yaml:1:1: the configuration must be a mapping"),
            ("text\n", "ringfence.yaml:1:1: the configuration must be a mapping"),
            (SMALLEST + "agnets: {}\n", "ringfence.yaml:3:1: unknown key `agnets` in the conf"),
        ],
    )
    def test_the_first_keys_are_judged_first(
        self, text: str, expected: str, tmp_path: Path
    ) -> None:
        assert refused(write(tmp_path, text)).startswith(expected)


class TestOrganisations:
    def test_each_further_file_is_one_organisation(self, tmp_path: Path) -> None:
        path = write(tmp_path, FULL)
        write(tmp_path / "organisations", "format: 1\norganisation: other\n", "other.yaml")
        write(tmp_path / "organisations", "not read", "README.md")
        loaded = load(path, {"OPENAI_API_KEY": "x", "CRM_TOKEN": "y"})
        assert list(loaded.configuration.organisations) == ["acme", "other"]
        assert loaded.configuration.organisations["other"].agents == {}

    def test_names_of_one_organisation_do_not_reach_another(self, tmp_path: Path) -> None:
        path = write(tmp_path, FULL)
        text = "format: 1\norganisation: other\nagents: {a: {owner: owner@acme.example}}\n"
        write(tmp_path / "organisations", text, "other.yaml")
        assert refused(path, {"OPENAI_API_KEY": "x", "CRM_TOKEN": "y"}) == (
            "organisations/other.yaml:3:21: unknown user `owner@acme.example` in agent `a`"
        )

    def test_a_secret_that_two_organisations_name_is_noted(self, tmp_path: Path) -> None:
        path = write(tmp_path, FULL)
        house = '{p: {protocol: openai, base_url: "https://a.example", credential: "${%s}"}}'
        for name, variable in (("evil", "OPENAI_API_KEY"), ("good", "OWN_KEY")):
            text = f"format: 1\norganisation: {name}\nproviders: {house % variable}\n"
            write(tmp_path / "organisations", text, f"{name}.yaml")
        loaded = load(path, {"OPENAI_API_KEY": "x", "CRM_TOKEN": "y", "OWN_KEY": "z"})
        [note] = [each for each in loaded.notes if "secret" in each.what]
        assert note.place.file.endswith("organisations/evil.yaml")
        assert "`OPENAI_API_KEY`" in note.what
        assert loaded.secret_names == {"OPENAI_API_KEY", "CRM_TOKEN", "OWN_KEY"}

    def test_each_organisation_has_a_digest_of_its_own(self, tmp_path: Path) -> None:
        path = write(tmp_path, SMALLEST)
        digests = []
        for change in ("", "teams: {a: }\n"):
            write(tmp_path / "organisations", f"format: 1\norganisation: b\n{change}", "b.yaml")
            configuration = load(path, {}).configuration
            mine, theirs = configuration.organisations.values()
            digests.append((mine.digest, theirs.digest, configuration.digest))
        assert digests[0][0] == digests[1][0]
        assert digests[0][1] != digests[1][1]
        assert digests[0][2] != digests[1][2]

    def test_problems_of_all_files_are_named_together(self, tmp_path: Path) -> None:
        path = write(tmp_path, SMALLEST + "agnets: {}\n")
        write(tmp_path / "organisations", "format: 1\n\torganisation: a\n", "a.yaml")
        write(tmp_path / "organisations", SMALLEST, "b.yaml")
        write(tmp_path / "organisations", SMALLEST, "c.yml")
        write(tmp_path / "organisations", "format: 1\n", "d.yaml")
        lines = [line for line in refused(path).splitlines() if not line.startswith(" ")]
        assert lines == [
            "organisations/a.yaml:2:1: a tab in the indentation",
            "organisations/b.yaml:2:1: this organisation is defined twice",
            "organisations/c.yml: would not be read",
            "organisations/d.yaml:1:1: the configuration has no `organisation`",
            "ringfence.yaml:3:1: unknown key `agnets` in the configuration",
        ]


class TestDigest:
    def digest(self, load_text: Callable[..., Loaded], text: str, **environment: str) -> str:
        return load_text(text, **environment).configuration.digest

    def test_layout_and_order_do_not_matter(self, load_text: Callable[..., Loaded]) -> None:
        one = self.digest(load_text, SMALLEST + "teams: {a: {}, b: }\n")
        text = "# x\nteams:\n  b: {}\n  a: {}\norganisation: acme\nformat: 1"
        other = self.digest(load_text, text)
        assert one == other
        assert one.startswith("sha256:")
        assert len(one) == len("sha256:") + 64

    def test_content_matters(self, load_text: Callable[..., Loaded]) -> None:
        assert self.digest(load_text, SMALLEST) != self.digest(load_text, SMALLEST + "teams: {a: }")
        assert self.digest(load_text, FULL) != self.digest(load_text, FULL.replace("30", "31"))

    def test_a_secret_s_value_does_not_matter(self, load_text: Callable[..., Loaded]) -> None:
        one = self.digest(load_text, FULL, OPENAI_API_KEY="a")
        assert one == self.digest(load_text, FULL, OPENAI_API_KEY="b")


SECRET = "Zq7!vX2 pL9#wR4 tantalus"


def forms(secret: str) -> list[str]:
    """A secret as it is and as it could have been encoded."""
    raw = secret.encode()
    return [secret, base64.b64encode(raw).decode(), raw.hex(), quote(secret), secret[4:-4]]


PLACES = {
    "credential": ('credential: "${OPENAI_API_KEY}"', f'credential: "{SECRET}"'),
    "unknown key": ("protocol: openai, base", f'api_key: "{SECRET}", protocol: openai, base'),
    "url": ("https://api.openai.com/v1", f"https://u:{SECRET}@api.openai.com/v1"),
    "url with a space": ("https://api.openai.com/v1", f"https://{SECRET}.openai.com/v1"),
    "query of a provider": ("{protocol: openai,", f'{{query: {{token: "{SECRET}"}}, protocol: x,'),
    "query of a url": ("https://crm.example/mcp", f"https://crm.example/mcp?key={quote(SECRET)}"),
    "env": ("LOG_LEVEL: warn", f'API_TOKEN: "{SECRET}"'),
    "credential as a list": ('credential: "${CRM_TOKEN}"', f'credential: ["{SECRET}"]'),
    "credential as a key": ('credential: "${CRM_TOKEN}"', f'credential: {{"{SECRET}": x}}'),
    "syntax": ('credential: "${CRM_TOKEN}"', f'credential: "{SECRET}'),
    "second credential": ("house: {", f'house: {{credential: "{SECRET}", credential: x, '),
    "tag": ('credential: "${CRM_TOKEN}"', f'credential: !!str "{SECRET}"'),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_written_into_the_file_is_never_repeated(place: str, tmp_path: Path) -> None:
    before, after = PLACES[place]
    assert before in FULL
    path = write(tmp_path, FULL.replace(before, after))
    with pytest.raises(ConfigurationError) as raised:
        load(path, {"OPENAI_API_KEY": "x", "CRM_TOKEN": "y"})
    said = raised.value.render() + repr(raised.value) + str(raised.value) + repr(raised.value.args)
    for form in forms(SECRET):
        assert form not in said


EVERYWHERE = [
    "owner@acme.example: {roles: [admin]}|owner@acme.example: {roles: [%s]}",
    "timezone: UTC|timezone: %s",
    "name: acme|name: %s",
    'protocol: openai, base_url: "http://l|protocol: %s, base_url: "http://l',
    "http://localhost:8000/v1|%s",
    "upstream: llama-4|upstream: %s",
    "input: 0.10|input: %s",
    "category: bounded|category: %s",
    "owner: owner@acme.example|owner: %s",
    "team: support|team: %s",
    "models: [gpt-5-mini, house-model]|models: [%s]",
    'tools: ["files__read_*", "crm__*"]|tools: [%s]',
    "hosts: [api.crm.example]|hosts: [%s]",
    "commands: [git, python3]|commands: [%s]",
    "model_calls: 30|model_calls: %s",
    "usd: 200, per: month|usd: %s, per: month",
    "usd: 200, per: month|usd: 200, per: %s",
    "irreversible: [delete_*]|irreversible: [%s]",
    "sandbox: strict|sandbox: %s",
    "escalate_to: owner@acme.example|escalate_to: %s",
    "fallback: [house-model]|fallback: [%s]",
    "output: 0.40}}|output: 0.40}, hosted_tools: [%s]}",
    "name: acme|namm: %s",
    "LOG_LEVEL: warn|API_KEY: 'x', X: %s",
]


@pytest.mark.parametrize("place", EVERYWHERE)
def test_a_value_from_the_environment_is_never_shown(place: str, tmp_path: Path) -> None:
    before, after = place.split("|")
    assert before in FULL
    path = write(tmp_path, FULL.replace(before, after % '"${HIDDEN}"'))
    environment = {"OPENAI_API_KEY": SECRET, "CRM_TOKEN": SECRET, "HIDDEN": SECRET}
    with pytest.raises(ConfigurationError) as raised:
        load(path, environment)
    said = raised.value.render() + repr(raised.value.args) + raised.value.help
    for form in forms(SECRET):
        assert form not in said


def test_what_is_loaded_names_secrets_and_holds_none(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text(FULL, OPENAI_API_KEY=SECRET, CRM_TOKEN=SECRET)
    for form in forms(SECRET):
        assert form not in repr(loaded)


def renders(path: Path, environment: Mapping[str, str]) -> bool:
    """Whether the file loads or is refused in words; any other exception is a failure."""
    try:
        return isinstance(load(path, environment).configuration, Configuration)
    except ConfigurationError as error:
        return error.render().startswith(str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=80))
def test_any_bytes_load_or_are_refused(data: bytes, tmp_path: Path) -> None:
    assert renders(write(tmp_path, data), {})


KEYS = """
format organisation name timezone budget usd per day default_user calls_per_minute teams users
roles admin providers protocol openai base_url http://a credential ${A} ${ query betas timeouts
connect models provider upstream fallback price input above tokens ceiling hosted hosted_tools
input_bound tools command url env irreversible agents owner team category bounded scope hosts
commands autonomy limits model_calls unlimited sandbox policies a b 1 -1 0.5 1e9 ~ '' .
"""
ROOTS = "organisation teams users providers models tools agents policies"
_WORDS = st.sampled_from(KEYS.split())
_TREES = st.recursive(
    _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=25,
)
_FILES = st.dictionaries(
    st.sampled_from(ROOTS.split()), st.dictionaries(_WORDS, _TREES, max_size=3) | _TREES
)


def flow(tree: object) -> str:
    """Write a tree in YAML's flow style."""
    match tree:
        case dict():
            return "{" + ", ".join(f"{key}: {flow(value)}" for key, value in tree.items()) + "}"
        case list():
            return "[" + ", ".join(map(flow, tree)) + "]"
        case _:
            return str(tree) if tree in {"~", "1", "''"} else f'"{tree}"'


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=_FILES)
def test_any_tree_of_known_words_loads_or_is_refused(
    tree: dict[str, object], tmp_path: Path
) -> None:
    lines = "".join(f"{key}: {flow(value)}\n" for key, value in tree.items())
    assert renders(write(tmp_path, "format: 1\n" + lines), {"A": "x"})


class TestReference:
    """docs/configuration.md says what the code does."""

    TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")

    def test_its_example_loads_without_a_note(self, tmp_path: Path) -> None:
        example = self.TEXT.split("```yaml\n")[-1].split("```")[0]
        loaded = load(write(tmp_path, example), {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y"})
        assert loaded.notes == ()

    def test_it_names_every_key_that_can_be_given(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: set[str] = set()
        contains = Section.__contains__

        def remember(section: Section, key: str) -> bool:
            asked.add(key)
            return contains(section, key)

        monkeypatch.setattr(Section, "__contains__", remember)
        more = (
            "{provider: house, price: {input: 1, output: 2, above: [{tokens: 5}]}, input_bound: {}}"
        )
        text = FULL.replace("models:\n", f"models:\n  more: {more}\n", 1)
        text = text.replace("house: {", "house: {timeouts: {}, ")
        vault = 'vault: {url: "https://v.example", path: a, field: b, token: "${CRM_TOKEN}"}'
        minting = 'token_url: "https://idp.example", grant: token_exchange'
        binding = "{host: a.example, as: {header: X-Key}}"
        text += f"secrets:\n  a: {{{vault}, bind: {binding}, mint: {{{minting}}}}}\n"
        load(write(tmp_path, text), {"OPENAI_API_KEY": "x", "CRM_TOKEN": "y"})
        named = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]*)`", self.TEXT))))
        assert len(asked) > 70
        assert asked - named == {"LOG_LEVEL"}  # a name that the example makes up

    @pytest.mark.parametrize("category", list(Category))
    def test_it_gives_the_limits_of_each_category(self, category: Category) -> None:
        column = 2 + list(Category).index(category)
        table = self.TEXT.partition("| key | workflow |")[2]
        for name in (
            "model_calls",
            "tool_calls",
            "calls_per_tool",
            "default_output_tokens",
            "depth",
            "sub_agents",
            "seconds",
            "open_invocations",
        ):
            (row,) = [line for line in table.splitlines() if line.startswith(f"| `{name}`")]
            value = getattr(CATEGORY_DEFAULTS[category], name)
            assert row.split("|")[column].strip() == str(value)


def test_a_hundred_agents_load_in_a_blink(tmp_path: Path) -> None:
    head, agent = FULL.split("  triage:\n")
    path = write(tmp_path, head + "".join(f"  agent-{i}:\n{agent}" for i in range(100)))
    environment = {"OPENAI_API_KEY": "x", "CRM_TOKEN": "y"}
    assert len(load(path, environment).configuration.organisations["acme"].agents) == 100
    times = []
    for _ in range(5):
        began = time.process_time()
        load(path, environment)
        times.append(time.process_time() - began)
    assert min(times) < 0.150
