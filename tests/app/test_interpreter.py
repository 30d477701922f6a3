import gc
import sys

from ringfence.app import interpreter


def test_the_loop_gets_its_turn_back_soon() -> None:
    before = sys.getswitchinterval()
    try:
        interpreter.prefer_loop()
        assert sys.getswitchinterval() <= 0.001
    finally:
        sys.setswitchinterval(before)


def test_what_lives_is_not_looked_at_again() -> None:
    thresholds = gc.get_threshold()
    try:
        interpreter.freeze()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_memory_is_what_the_system_says() -> None:
    held = interpreter.memory_bytes()
    assert 5_000_000 < held < 50_000_000_000


def test_the_processor_time_only_rises() -> None:
    before = interpreter.cpu_us()
    sum(range(1_000_000))
    assert interpreter.cpu_us() > before


def test_a_runner_runs() -> None:
    async def answer() -> int:
        return 42

    with interpreter.runner() as runner:
        assert runner.run(answer()) == 42
