"""What errs in a storm: contexts in which the tmux, the registry or the ledger of a scene errs by its seed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from tests.tools.front_registry import Effect, RegistryFault, faults_of
from tests.tools.storm_stage import LONG, SHORT, Scene
from tests.tools.storm_table import KINDS
from tests.tools.storm_tmux import Fault, draw_plan

__all__ = ["erring_ledger", "erring_registry", "erring_tmux", "pardon_one"]


@contextmanager
def erring_tmux(scene: Scene) -> Iterator[Mapping[str, Fault]]:
    """Gives the faults by their names."""
    front = scene.stage.front
    plan = draw_plan(scene.random, scene.server.path)
    scene.story += [f"  {kind} {number}: {fault.name}" for (kind, number), fault in sorted(plan.items())]
    front.plan(plan)
    before = os.environ["PATH"]
    os.environ["PATH"] = front.path()
    scene.let_tmux_take(SHORT)
    try:
        yield {fault.name: fault for fault in plan.values()}
    finally:
        os.environ["PATH"] = before
        scene.let_tmux_take(LONG)


@contextmanager
def erring_registry(scene: Scene) -> Iterator[RegistryFault | None]:
    """Gives the fault that is there all the time, if one is. What takes rows away and is to be believed happens to one look-up
    only: by the table a session that is missed twice is an orphan."""
    faults = faults_of(scene.host, scene.yesterday, scene.stage.template, keep=scene.rows() // 3)
    standing = scene.random.choice([None, *faults.values()])
    if standing is not None and standing.effect is not Effect.BELIEVED:
        scene.story.append(f"  registry, all the time: {standing.name}")
        with standing.happens():
            yield standing
        return
    often = [fault for fault in faults.values() if fault.effect is Effect.UNKNOWN]
    once = scene.random.choice([fault for fault in faults.values() if fault.effect is not Effect.UNKNOWN])
    plan = [scene.random.choice([None, None, *often]) for _ in range(12)]
    plan[scene.random.randint(0, 5)] = once
    scene.story.append("  registry: " + ", ".join(fault.name if fault else "-" for fault in plan))
    scene.registry.plan = plan
    yield None
    scene.registry.plan = []


@contextmanager
def erring_ledger(scene: Scene) -> Iterator[None]:
    """The disk is full, or read-only. Before it becomes read-only the reaper ends, and starts again: the kernel lets no file be
    open to write then."""
    disk = scene.disk
    if scene.theatre == "ledger full":
        leave = scene.random.choice([0, 0, 4096, 8192, 20_480])
        scene.story.append(f"  {leave} bytes are left")
        disk.fill(leave)
        try:
            yield
        finally:
            disk.free()
    else:
        scene.reaper.close()
        disk.set_read_only()
        try:
            scene.start_reaper()
            yield
        finally:
            disk.set_read_only(on=False)


def pardon_one(scene: Scene) -> None:
    """In the middle of a sweep, right after some look-up, the host changes its mind about a workspace. From the next look-up
    that asks for it on its session is protected: what was looked up before convicts nobody."""
    random = scene.random
    able = [one for one in scene.members if one.kind in ("archived", "archived by hook", "orphan", "deleted")]
    if not able or scene.theatre in ("registry", "both") or random.random() < 0.4:
        return
    member, countdown = random.choice(able), random.randint(1, 8)
    pardoned = False

    def answered() -> None:
        nonlocal countdown, pardoned
        countdown -= 1
        if countdown == 0 and member.session_id in scene.there():
            scene.story.append(f"    the host changes its mind about {member.name}")
            pardoned = True
            if KINDS[member.kind].row:
                scene.host.archive(member.workspace_id, on=False)
            else:
                scene.host.insert([member.workspace_id])

    def asking(ids: Collection[str]) -> None:
        # An answer that was lost is asked for again: the session may be gone since the look-up before.
        if pardoned and member.workspace_id in ids and member.session_id in scene.there():
            member.kind = "living"

    scene.registry.answered, scene.registry.asking = answered, asking
