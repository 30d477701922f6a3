import asyncio
import json
from pathlib import Path

import pytest
from tests.app.installation import Installation, plane, provider
from tests.stores.body.conversation import request
from tests.stores.body.keeping import messages

from ringfence.app.masking import Masker, masks
from ringfence.app.storage import storage_of
from ringfence.domain.event import Intent, Outcome
from ringfence.domain.masking import Kind, MaskingRules
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.stores.body import Body, BodyReader, Part
from ringfence.stores.verification import Kept, Outside, verify_folder
from ringfence.testing.model.script import parse

RULES = MaskingRules(kinds=(Kind.EMAIL,), patterns={"ticket": "ACME-[0-9]{6}"})
SCRIPT = """\
format: 1
rules:
  - answer: {text: "I wrote to joan@roe.example about ACME-654321"}
"""


def test_only_organisations_that_want_it_have_something_masked() -> None:
    configuration = Configuration(
        organisations={
            "a": Organisation(name="a", id="org_a", masking=RULES),
            "b": Organisation(name="b", id="org_b"),
        },
        digest="",
    )
    assert masks(configuration).keys() == {"org_a"}


def test_each_message_is_masked_by_itself_and_found_again() -> None:
    said = b'{"role":"user","content":"I am jane@roe.example"}'
    body = request([*messages(2), said, messages(1)[0]])
    masker = Masker(RULES)
    for _ in range(2):
        masked, counts = masker(body)
        assert counts == {"email": 1}
        parts = [masked.whole[start:end] for start, end in masked.spans]
        assert parts[2] == b'{"role":"user","content":"I am [masked:email]"}'
        assert [parts[0], parts[1], parts[3]] == [
            body.whole[start:end] for number, (start, end) in enumerate(body.spans) if number != 2
        ]
        json.loads(masked.whole)
    plain = request(messages(3))
    assert masker(plain) == (plain, {})
    assert masker(Body(b"jane@roe.example")) == (Body(b'"[masked:email]"'), {"email": 1})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_agent_and_provider_get_what_was_said_and_the_record_does_not(
    tmp_path: Path, workers: int, *, stream: bool
) -> None:
    installed = Installation(tmp_path, workers=workers)

    async def story() -> None:
        async with provider(parse(SCRIPT)) as there:
            installed.configure(there.url)
            file = tmp_path / "ringfence.yaml"
            wanted = "timezone: UTC, masking: {kinds: [email], patterns: {ticket: 'ACME-[0-9]{6}'}}"
            file.write_text(file.read_text().replace("timezone: UTC", wanted))
            installed.give_token()
            async with plane(installed):
                answer = await installed.ask("I am jane@roe.example, ACME-123456", stream=stream)
                assert answer.status == 200
                if not stream:
                    assert b"joan@roe.example about ACME-654321" in answer.body
            assert "jane@roe.example, ACME-123456" in repr(there.journal.entries)

    asyncio.run(story())
    intent = next(event for event in installed.events() if isinstance(event, Intent))
    outcome = next(event for event in installed.events() if isinstance(event, Outcome))
    assert intent.masked == outcome.masked == {"email": 1, "ticket": 1}
    storage = storage_of(installed.settings)
    reader = BodyReader(storage.shelves())
    request_ = reader.get(intent.organisation, intent.action, Part.REQUEST)
    response = reader.get(intent.organisation, intent.action, Part.RESPONSE)
    reader.close()
    assert request_ is not None
    assert b"I am [masked:email], [masked:ticket]" in request_
    assert response is not None
    assert response.count(b"[masked:") == 2
    written = b"".join(each.read_bytes() for each in installed.data.rglob("*") if each.is_file())
    for secret in (b"jane@", b"joan@", b"ACME-123456", b"ACME-654321"):
        assert secret not in written
    assert storage.logs().search(intent.organisation, "roe", limit=5) == []
    kept = Kept(logs=storage.logs(), shelves=storage.shelves())
    report = verify_folder(installed.data, Outside(), is_running=False, kept=kept)
    assert report.holds, report.findings
    assert report.bodies == 2
