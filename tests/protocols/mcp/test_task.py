import json

import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols.mcp import task


def changed(result: object) -> object:
    raw = json.dumps(result).encode()
    return json.loads(task.renamed(raw, lambda own: f"ours {own}"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"taskId": "t", "x": [1]}, {"taskId": "ours t", "x": [1]}),
        ({"task": {"taskId": "t", "status": "s"}}, {"task": {"taskId": "ours t", "status": "s"}}),
        (
            {"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "t"}}},
            {"_meta": {"io.modelcontextprotocol/related-task": {"taskId": "ours t"}}},
        ),
        ({"content": [{"taskId": "t"}]}, {"content": [{"taskId": "t"}]}),
        ({"taskId": 7, "task": "taskId"}, {"taskId": 7, "task": "taskId"}),
        ({"content": []}, {"content": []}),
    ],
)
def test_a_task_goes_by_its_other_name_wherever_the_protocol_names_it(
    before: object, after: object
) -> None:
    assert changed(before) == after


def test_a_result_that_names_two_is_refused() -> None:
    with pytest.raises(PeerError):
        task.renamed(b'{"taskId":"a","taskId":"b"}', str)


def test_server_and_id_come_apart_as_they_were() -> None:
    assert task.split(task.joined("crm", "a\nb")) == ("crm", "a\nb")
    with pytest.raises(PeerError):
        task.split(b"crm")
