import os
import resource

from tests.transport.kernel.child import in_child, needs_linux

from ringfence.sandbox import limits
from ringfence.sandbox.plan import SandboxLimits

pytestmark = needs_linux


def test_every_limit_is_set_for_good() -> None:
    wanted = SandboxLimits(processes=33, open_files=44, file_bytes=5555, address_bytes=1 << 33)

    def do() -> list[list[int]]:
        limits.apply(wanted, processes_before=10)
        names = ("CORE", "NOFILE", "FSIZE", "NPROC", "AS")
        return [list(resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))) for name in names]

    assert in_child(do) == [[0, 0], [44, 44], [5555, 5555], [43, 43], [1 << 33, 1 << 33]]


def test_where_a_group_counts_processes_the_bound_of_each_user_lies_above_it() -> None:
    def do() -> int:
        limits.apply(SandboxLimits(processes=33), is_counted=True)
        return resource.getrlimit(resource.RLIMIT_NPROC)[0]

    assert in_child(do) > 33


def test_where_no_group_counts_in_the_end_the_bound_is_what_was_asked_for() -> None:
    def do() -> list[int]:
        limits.apply(SandboxLimits(processes=33), processes_before=10, is_counted=True)
        limits.count_alone(os.getpid())
        return list(resource.getrlimit(resource.RLIMIT_NPROC))

    assert in_child(do) == [43, 43]


def test_one_that_has_ended_is_bounded_by_nobody() -> None:
    limits.count_alone(2**22 + 1)


def test_a_limit_is_never_raised() -> None:
    def do() -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        limits.apply(SandboxLimits(open_files=4000))
        return list(resource.getrlimit(resource.RLIMIT_NOFILE))

    assert in_child(do) == [20, 20]


def test_a_monitor_has_room_for_every_process_of_its_sandbox_and_takes_no_more() -> None:
    def do() -> list[int]:
        found = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 5000))
        for processes in (16, 1024, 3000, 100_000):
            limits.room_for(processes)
            found.append(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        return found

    first, second, third, last = in_child(do)
    assert first > 16
    assert 1024 < second < third
    assert 3000 < third < last == 5000


def test_a_sandbox_goes_first_where_memory_runs_out() -> None:
    def do() -> str:
        limits.apply(SandboxLimits())
        with open("/proc/self/oom_score_adj") as file:
            return file.read().strip()

    assert in_child(do) == "500"


def test_the_threads_of_a_user_are_counted() -> None:
    assert limits.processes_of(os.geteuid()) >= 1
    assert limits.processes_of(4_000_000_000) == 0
