"""At most one leads, and soon another when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api import errors
from knarr_api.types.coordination_v1 import Lease
from knarr_client import virtual_time
from knarr_client.memory import MemoryApi, MemoryClient
from knarr_controlplane.leader import LONGEST_S, LeaderSettings, lead


class Silent(MemoryClient):
    """While ``silent`` calls are not answered, not even with an error."""

    silent = False

    async def get(self, *args, **more):
        await self._answers()
        return await super().get(*args, **more)

    async def create(self, *args, **more):
        await self._answers()
        return await super().create(*args, **more)

    async def update(self, *args, **more):
        await self._answers()
        return await super().update(*args, **more)

    async def _answers(self):
        if self.silent:
            await asyncio.Event().wait()


class Candidate:
    """One process. Notes when its work began and ended."""

    def __init__(self, api, clock, name, leading):
        self.client = Silent(api)
        self.clock = clock
        self.name = name
        self.leading = leading
        self.spans = []
        self.terms = []
        self.rests = 0
        self.task = None

    def start(self):
        uniform = random.Random(self.name).random
        leading = lead(self.client, self.clock, "work", self.name, self.work, uniform=uniform, afterwards=self.rest)
        self.task = asyncio.ensure_future(leading)

    def rest(self):
        assert self.name not in self.leading
        self.rests += 1

    async def work(self, term):
        self.leading.add(self.name)
        assert len(self.leading) == 1, self.leading
        self.term = term
        self.terms.append(term.revision)
        began = self.clock.monotonic()
        try:
            await asyncio.Event().wait()
        finally:
            self.leading.discard(self.name)
            self.spans.append((began, self.clock.monotonic()))

    async def kill(self):
        """As kill -9: from one moment to the next nothing of it reaches the API any more."""
        self.client.connected = False
        await self.stop()

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def play(scenario, names=("a", "b")):
    async def run(clock):
        api = MemoryApi(clock=clock)
        leading = set()
        candidates = {name: Candidate(api, clock, name, leading) for name in names}
        try:
            await scenario(clock, api, candidates, leading)
        finally:
            for candidate in candidates.values():
                if candidate.task is not None:
                    await candidate.stop()

    virtual_time.run(run)


def test_first_one_leads_at_once():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(0.01)
        assert leading == {"a"}

    play(scenario)


def test_killed_leader_is_replaced_within_three_seconds():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(1)
        candidates["b"].start()
        await clock.sleep(20.3)
        assert leading == {"a"}
        await candidates["a"].kill()
        killed = clock.monotonic()
        when = await virtual_time.eventually(lambda: leading == {"b"}, within_s=3, step_s=0.01)
        assert when - killed <= 2.5

    play(scenario)


def test_leader_that_stops_hands_over_at_once():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(1)
        candidates["b"].start()
        await clock.sleep(5)
        await candidates["a"].stop()
        await virtual_time.eventually(lambda: leading == {"b"}, within_s=0.4, step_s=0.01)

    play(scenario)


def test_leader_that_is_cut_off_has_stopped_before_another_begins():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(1)
        candidates["b"].start()
        await clock.sleep(5)
        candidates["a"].client.connected = False
        cut = clock.monotonic()
        await virtual_time.eventually(lambda: leading == {"b"}, within_s=3, step_s=0.01)
        ((_, stopped),) = candidates["a"].spans
        assert stopped - cut <= 1.4
        assert stopped < clock.monotonic()
        candidates["a"].client.connected = True
        await clock.sleep(10)
        assert leading == {"b"}

    play(scenario)


def test_short_outage_does_not_stop_the_leader():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(5)
        candidates["a"].client.connected = False
        await clock.sleep(0.8)
        candidates["a"].client.connected = True
        await clock.sleep(5)
        assert leading == {"a"}
        assert not candidates["a"].spans

    play(scenario)


def test_leader_whose_renewals_take_long_claims_the_lease_for_longer_until_they_do_not():
    async def scenario(clock, api, candidates, leading):
        async def claimed_s():
            lease = await MemoryClient(api).get(Lease, "work", "kube-system")
            return lease.spec.lease_duration_seconds

        async def hold_up(seconds):
            candidates["a"].client.connected = False
            await clock.sleep(seconds)
            candidates["a"].client.connected = True
            await clock.sleep(2)

        candidates["a"].start()
        await clock.sleep(1)
        candidates["b"].start()
        await clock.sleep(5)
        assert await claimed_s() == 2
        await hold_up(0.8)
        assert await claimed_s() > 2
        await hold_up(1.5)
        await hold_up(2.5)
        assert leading == {"a"}
        assert not candidates["a"].spans
        await clock.sleep(40)
        assert await claimed_s() == 2

    play(scenario)


def test_a_leader_of_slow_renewals_stops_when_its_last_claim_is_over_not_the_one_it_would_make_next():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(1)
        candidates["b"].start()
        client = candidates["a"].client
        outside = MemoryClient(api)

        async def renewed_after(seconds):
            client.connected = False
            await clock.sleep(seconds)
            before = await outside.get(Lease, "work", "kube-system")
            client.connected = True
            while (lease := await outside.get(Lease, "work", "kube-system")) == before:
                await clock.sleep(0.01)
            return lease

        await clock.sleep(5)
        await renewed_after(0.8)
        await clock.sleep(1)
        last = await renewed_after(2.5)  # the next claim would be longer, and calls may take longer
        renewed_s, claimed_s = clock.monotonic(), last.spec.lease_duration_seconds
        client.connected = False
        await clock.sleep(0.65 * claimed_s)
        client.connected, client.silent = True, True
        await virtual_time.eventually(lambda: "a" not in leading, within_s=30, step_s=0.01)
        assert clock.monotonic() - renewed_s < claimed_s
        assert len(candidates["a"].spans) == 1

    play(scenario)


def test_wall_clocks_that_differ_or_jump_do_not_matter():
    async def scenario(clock, api, candidates, leading):
        import datetime

        candidates["a"].start()
        await clock.sleep(1)
        candidates["b"].start()
        for hours in (-5, 5, -100):
            clock.skew = datetime.timedelta(hours=hours)
            await clock.sleep(10)
            assert leading == {"a"}
        assert not candidates["a"].spans

    play(scenario)


def test_deleted_lease_ends_the_leadership_and_it_is_taken_anew():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(1)
        await candidates["a"].client.delete(Lease, "work", "kube-system")
        await clock.sleep(3)
        assert leading == {"a"}
        assert len(candidates["a"].spans) == 1

    play(scenario)


def test_after_a_lost_term_there_is_time_to_clear_up_before_the_next():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(5)
        for lost in range(1, 4):
            await MemoryClient(api).delete(Lease, "work", "kube-system")
            await virtual_time.eventually(lambda: len(candidates["a"].terms) == lost + 1, within_s=2)  # noqa: B023
            assert candidates["a"].rests == lost
            assert leading == {"a"}

    play(scenario)


def test_each_leadership_has_a_term_of_its_own_that_renewals_leave_alone():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(1)
        candidates["b"].start()
        first = await candidates["a"].client.get(Lease, "work-term", "kube-system")
        await clock.sleep(10)
        assert await candidates["a"].client.get(Lease, "work-term", "kube-system") == first
        assert candidates["a"].terms == [first.metadata.resource_version]
        await candidates["a"].kill()
        await clock.sleep(3)
        second = await candidates["b"].client.get(Lease, "work-term", "kube-system")
        assert (first.spec.holder_identity, second.spec.holder_identity) == ("a", "b")
        assert candidates["b"].terms == [second.metadata.resource_version] != candidates["a"].terms

    play(scenario)


def test_a_leader_that_is_told_of_the_end_of_its_term_stops_and_begins_anew():
    async def scenario(clock, api, candidates, leading):
        candidates["a"].start()
        await clock.sleep(1)
        await candidates["a"].client.delete(Lease, "work-term", "kube-system")
        candidates["a"].term.over.set()
        await clock.sleep(1)
        assert leading == {"a"}
        assert len(candidates["a"].spans) == 1
        assert (await candidates["a"].client.get(Lease, "work-term", "kube-system")).spec.holder_identity == "a"

    play(scenario)


def test_what_the_work_raises_is_raised_and_the_lease_given_back():
    async def run(clock):
        api = MemoryApi(clock=clock)
        client = MemoryClient(api)

        async def fails(term):
            await clock.sleep(3)
            raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await lead(client, clock, "work", "a", fails)
        assert (await client.get(Lease, "work", "kube-system")).spec.holder_identity == ""

    virtual_time.run(run)


def test_settings_under_which_two_could_lead_are_refused():
    with pytest.raises(errors.Invalid):
        LeaderSettings(duration_s=2, stop_after_s=1.9)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["cut", "silent", "join"]), st.floats(0.05, 4)),
        min_size=1,
        max_size=25,
    )
)
def test_two_never_lead_whatever_is_cut_off_when(steps):
    async def scenario(clock, api, candidates, leading):
        for candidate in candidates.values():
            candidate.start()
        for name, what, wait_s in steps:
            candidates[name].client.connected = what != "cut"
            candidates[name].client.silent = what == "silent"
            await clock.sleep(wait_s)
            assert len(leading) <= 1
        for candidate in candidates.values():
            candidate.client.connected, candidate.client.silent = True, False
        await clock.sleep(LONGEST_S + 5)
        assert len(leading) == 1
        spans = sorted(span for candidate in candidates.values() for span in candidate.spans)
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))

    play(scenario, names=("a", "b", "c"))
