"""Measure and write the results: `python -m bench.model_gateway [--python PATH] [--only NAME]`."""

import argparse
from pathlib import Path

from bench.model_gateway import report
from bench.model_gateway.peers import FerroGW, LiteLLM, Portkey
from bench.model_gateway.proxies import Direct, Envoy, Nginx
from bench.model_gateway.ringfence import Ringfence
from bench.model_gateway.run import Bench, measure_all
from bench.model_gateway.scenario import EVERY, USUAL
from bench.model_gateway.subject import Subject

_ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.model_gateway")
    parser.add_argument("--every", action="store_true", help="all 24 scenarios (about an hour)")
    parser.add_argument("--first", type=int, default=0, help="only so many scenarios")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each run of the load")
    parser.add_argument("--only", default="", help="names of subjects, separated by commas")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md anew")
    parser.add_argument("--python", default="", help="run Ringfence by these too, commas between")
    options = parser.parse_args()
    pythons = [python.strip() for python in options.python.split(",") if python.strip()]
    subjects: list[Subject] = [
        Direct(),
        Nginx(),
        Envoy(),
        Ringfence(),
        Ringfence(is_unique=True),
        *[Ringfence(python=python) for python in pythons],
        FerroGW(),
        Portkey(),
        LiteLLM(),
    ]
    wanted = {name.strip() for name in options.only.split(",") if name.strip()}
    scenarios = list(EVERY if options.every else USUAL)[: options.first or None]
    tools = _ROOT / ".bench"
    with Bench(tools, tools / "run") as bench:
        for subject in subjects:
            if not wanted or subject.name in wanted:
                bench.add(subject)
        measure_all(bench, scenarios, options.rounds, options.seconds)
        bench.compare_books()
        text = report.tables(list(bench.standings.values()), scenarios, options)
    print(text)
    if options.write:
        report.write(_ROOT / "bench/RESULTS.md", text)


main()
