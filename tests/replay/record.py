"""Record the histories that every later version of the workflows must replay.

    python -m tests.replay.record [SCENARIO…]

plays the recorded scenarios of `tests.process.scenarios` on the embedded engines and writes one file a history. A
history that is there already is kept: old ones stay until no run needs them. To take a scenario anew, name it.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from temporalio.client import Client, WorkflowHistory

from ameide import config
from ameide.engine.engine import Engine
from ameide.process.converter import DATA_CONVERTER
from tests.process.playing import Played, histories, play_all
from tests.process.scenarios import SCENARIOS

HISTORIES = Path(__file__).parent / "histories"
# Of a run with many histories the first ones tell all: started, continued, continued again.
_LINKS = 3
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


def recorded(name: str) -> list[Path]:
    """The files of a scenario, one for each history of its run."""
    return sorted(HISTORIES.glob(f"{name}.*.json"))


async def _links(played: Played) -> list[WorkflowHistory]:
    """The first histories of a run."""
    found: list[WorkflowHistory] = []
    async for history in histories(played):
        found.append(history)
        if len(found) == _LINKS:
            break
    return found


def _without_traces(value: Json) -> Json:
    """Stack traces name the files of the recording machine and mean nothing to a replay."""
    if isinstance(value, dict):
        return {key: _without_traces(item) for key, item in value.items() if key != "stackTrace"}
    if isinstance(value, list):
        return [_without_traces(item) for item in value]
    return value


def _write(name: str, histories: list[WorkflowHistory]) -> Iterator[Path]:
    for number, history in enumerate(histories, 1):
        told = cast("Json", json.loads(history.to_json()))
        path = HISTORIES / f"{name}.{number}.json"
        path.write_text(json.dumps(_without_traces(told), separators=(",", ":")) + "\n", encoding="utf-8")
        yield path


async def _record(address: str, namespace: str, names: list[str]) -> None:
    client = await Client.connect(
        address, namespace=namespace, data_converter=DATA_CONVERTER, identity="tests.replay.record"
    )
    for name, played in (await play_all(client, names)).items():
        if isinstance(played, BaseException):
            raise played
        for path in _write(name, await _links(played)):
            print(f"{path.name}: {path.stat().st_size // 1024} KiB")


def main(wanted: list[str]) -> None:
    """Record what is wanted, or whatever is not recorded yet."""
    names = wanted or [name for name, scenario in SCENARIOS.items() if scenario.recorded and not recorded(name)]
    if not names:
        print("Every recorded scenario has its histories.")
        return
    folder = Path(tempfile.mkdtemp(prefix="ameide-"))
    folder.chmod(0o711)
    engine = Engine(folder, config.read().cache_dir, say=print)
    try:
        running = engine.start()
        asyncio.run(_record(running.temporal_address, running.namespace, names))
    finally:
        engine.stop()
        engine.purge()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
