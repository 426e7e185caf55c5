"""An idle block costs the same few requests, however much has happened before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from protocol.agents.requester import Requester
from protocol.agents.solver import Solver
from protocol.agents.verifier import Verifier
from protocol.storage import ContentStore
from protocol.training import Task
from scripts.load.crowd import Crowd, Person

Make = Callable[[Person], Requester | Solver | Verifier]

LATEST_AND_EVENTS = 2


def makers(folder: Path) -> dict[str, Make]:
    """One agent of each role."""
    store = ContentStore(folder / "store")

    def solver(person: Person) -> Solver:
        runs = folder / "runs"
        return Solver(
            person.reader(),
            person.sender(),
            person.journal,
            store,
            runs,
            lambda _: 1,
            slice_seconds=0,
        )

    return {
        "requester": lambda person: Requester(person.reader(), person.sender(), store),
        "solver": solver,
        "verifier": lambda person: Verifier(
            person.reader(), person.sender(), person.journal, store, checks_all=True
        ),
    }


def requests_of_an_idle_block(crowd: Crowd, person: Person, agent) -> tuple[int, int]:
    """Messages and calls that an agent which is up to date needs for one more block."""
    while agent.tick():
        pass
    crowd.mine()
    before = person.endpoints.requests, person.endpoints.calls
    assert not agent.tick()
    return person.endpoints.requests - before[0], person.endpoints.calls - before[1]


def test_idle_block_after_10_100_or_1000_tasks_costs_the_same_two_requests(
    crowd: Crowd, task: Task, tmp_path: Path
) -> None:
    agents = {name: make(crowd.people[name]) for name, make in makers(tmp_path).items()}
    finished = 0
    for wanted in (10, 100, 1_000):
        crowd.post_and_cancel(task, wanted - finished)
        finished = wanted
        fresh = {name: make(crowd.people[name]) for name, make in makers(tmp_path).items()}
        for name, person in crowd.people.items():
            if name == "deployer":
                continue
            for agent in (agents[name], fresh[name]):
                cost = requests_of_an_idle_block(crowd, person, agent)
                assert cost == (LATEST_AND_EVENTS, LATEST_AND_EVENTS), (name, wanted)
                assert not agent._reader.book.open_tasks
                assert len(agent._reader._views) == 0


def test_idle_block_with_many_open_tasks_asks_about_none_of_them(
    crowd: Crowd, task: Task, tmp_path: Path
) -> None:
    """Phases follow from what was read once and the block's time."""
    posted = crowd.post(task, 100)
    for name, make in makers(tmp_path).items():
        person = crowd.people[name]
        agent = make(person)
        if name == "solver":
            agent._price = lambda _: None  # it has no use for them
        assert requests_of_an_idle_block(crowd, person, agent) == (2, 2), name
        assert len(agent._reader.book.open_tasks) == len(posted)


def test_block_with_news_asks_about_what_is_new_in_one_message(
    crowd: Crowd, task: Task, tmp_path: Path
) -> None:
    person = crowd.people["requester"]
    agent = makers(tmp_path)["requester"](person)
    crowd.post(task, 50)
    assert not agent.tick()
    crowd.post(task, 20)
    before = person.endpoints.requests, person.endpoints.calls
    assert not agent.tick()
    # The head, one block's events by its hash, and the new tasks' views together.
    assert person.endpoints.requests - before[0] == 3
    assert person.endpoints.calls - before[1] == 2 + 20


def test_reader_that_forgets_what_ended_keeps_only_what_is_going_on(
    crowd: Crowd, task: Task
) -> None:
    reader, keeper = (
        crowd.people["verifier"].reader(),
        crowd.people["solver"].reader(keeps_ended=True),
    )
    crowd.post_and_cancel(task, 60)
    (live,) = crowd.post(task, 1)
    assert len(reader.book.tasks) == len(keeper.book.tasks) == 61
    for _ in range(129):
        crowd.mine()
        reader.refresh()
    assert list(reader.book.tasks) == list(reader.book.open_tasks) == [live]
    assert not reader.book.closed
    assert len(keeper.book.tasks) == 61
