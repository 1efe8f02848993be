"""What is broken around a program: its log, its clock, its disk. Under load, as in scenarios.py."""
import signal
import time

from bad_disk import Disk
from full_pipe import Pipe
from wall_clock import WallClock
from world import Changer, World, sleep

DAY = 24 * 3600
LEASE_SECONDS = 3


def deaf(short):
    """Nobody reads the log of any program, and each would have much to say."""
    pipe = Pipe()
    try:
        def deafened(program, _=None):
            program.output = pipe.writer
            program.arguments[program.arguments.index("--log-level") + 1] = "debug"
            return program

        pipe.fill()
        with World("deaf", prepare=deafened) as world:
            edges = [deafened(world.validator(f"deaf/edge-{i}")) for i in range(4)]
            world.start_validators(edges)
            world.begin_traffic(tokens=200 if short else 600)
            changer = Changer(world, threads=3)
            rounds = 2 if short else 8
            for turn in range(rounds):
                sleep(0.5)
                if turn % 2 == 0:
                    world.service.kill()
                    world.restart_service()
                else:  # each has a line to write about the other
                    edges[turn % 4].signal(signal.SIGSTOP)
                    sleep(LEASE_SECONDS * 1.3)
                    edges[turn % 4].signal(signal.SIGCONT)
                world.until_in_sync({edge.edge for edge in edges})
            changer.stop()
            world.revoke_many(4)
            sleep(0.3)
            began = time.monotonic()
            for edge in edges:
                assert edge.stop() == 0, edge.name
            assert world.service.stop() == 0
            took = time.monotonic() - began
        return world, f"{rounds} rounds, {changer.done} changes meanwhile; all five ended in order in {took:.1f} s"
    finally:
        pipe.close()


def clock(short):
    """The service's wall clock is stepped by years under it, and is wrong at a start."""
    clocks = []

    def with_clock(service, home):
        clocks.append(WallClock(home))
        service.environment = clocks[0].environment

    with World("clock", prepare=with_clock) as world:
        wall = clocks[0]
        edges = [world.validator(f"clock/edge-{i}") for i in range(4)]
        world.start_validators(edges)
        world.begin_traffic(tokens=200 if short else 600)
        changer = Changer(world, threads=3)
        steps = [400 * DAY, -5 * 365 * DAY, 0]
        if not short:
            steps += [91 * DAY, 3600, -3600, 20 * 365 * DAY, 0, -DAY, 0]
        for turn, seconds in enumerate(steps):
            wall.wrong_by(seconds)
            sleep(1.0)
            if turn % 2 == 0:  # and a start with it
                world.service.kill()
                world.restart_service()
            world.until_in_sync({edge.edge for edge in edges})
            sleep(0.5)
        changer.stop()
        world.revoke_many(4)
        sleep(0.3)
    return world, f"{len(steps)} steps; {changer.done} changes meanwhile; no token was ended by time"


def disk(short):
    """The service's disk hangs for longer than the lease, in a sync, in the journal, in the mark; and it is killed so."""
    disks = []

    def on_the_disk(service, home):
        disks.append(Disk(home))
        service.environment = disks[0].environment

    with World("disk", prepare=on_the_disk) as world:
        bad = disks[0]
        edges = [world.validator(f"disk/edge-{i}") for i in range(4)]
        world.start_validators(edges)
        world.begin_traffic(tokens=200 if short else 600)
        changer = Changer(world, threads=3, pause=0.1)
        hangs = [("sync store/", 1.5, False), ("sync store.journal", 0.5, True)]
        if not short:
            hangs += [("write store.journal.mark", 1.5, False), ("sync store/", 0.3, True), ("write store/", 1.5, True),
                      ("sync store.journal", 1.5, False), ("write store.journal.mark", 0.5, True)]
        for where, leases, killed in hangs:
            sleep(0.5)
            bad.hang(where)
            sleep(leases * LEASE_SECONDS)
            if killed:
                world.service.kill()
            bad.answer()
            if killed:
                world.restart_service()
            world.until_in_sync({edge.edge for edge in edges})
        changer.stop()
        world.revoke_many(4)
        sleep(0.3)
    return world, f"{len(hangs)} hangs; {changer.done} changes meanwhile, each enforced in the end"


ALL = {"deaf": deaf, "clock": clock, "disk": disk}
BESIDE = tuple(ALL)
