"""Who answers for an entity depends on the entity and on what is published, and on nothing else."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from jobs.decisions.lots import lot
from jobs.rollouts.assignment import OUTSIDE, PublishedArm, PublishedRollout, assigned

ENTITIES = range(20_000)


def rollout(number: int, *shares: float, low: float = 0.0, high: float = 1.0) -> PublishedRollout:
    arms = tuple(PublishedArm(f"arm{n}", n + 2, "0" * 64, share) for n, share in enumerate(shares))
    return PublishedRollout(number, f"salt {number}", low, high, arms)


def who(*rollouts: PublishedRollout) -> list[str]:
    return [assigned("fraud", rollouts, entity).name for entity in ENTITIES]


@given(st.one_of(st.integers(), st.text(), st.booleans()), st.text())
def test_a_lot_is_from_0_to_1_and_always_the_same(entity: object, salt: str) -> None:
    assert 0 <= lot(salt, entity) < 1 and lot(salt, entity) == lot(salt, entity)
    assert lot(salt, 7) != lot(salt, "7")


def test_another_process_assigns_alike() -> None:
    program = "from jobs.decisions.lots import lot; print([lot('a', entity) for entity in (1, 'é', True, 2**70)])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str([lot("a", entity) for entity in (1, "é", True, 2**70)])


@given(st.lists(st.floats(0.02, 0.3), min_size=1, max_size=3))
def test_arms_have_their_shares_and_propensities_say_them(shares: list[float]) -> None:
    found = [assigned("fraud", [rollout(1, *shares)], entity) for entity in range(5_000)]
    for number, share in enumerate(shares):
        mine = [each for each in found if each.arm is not None and each.arm.name == f"arm{number}"]
        assert abs(len(mine) / 5_000 - share) < 5 * (share * (1 - share) / 5_000) ** 0.5
        assert {each.propensity for each in mine} == {share}
    rest = {round(each.propensity, 9) for each in found if each.arm is None}
    assert rest <= {round(1 - sum(shares), 9)} and {each.name for each in found if each.arm is None} <= {"1:champion"}


def test_a_share_that_grows_keeps_whom_it_had() -> None:
    small, large = who(rollout(1, 0.1)), who(rollout(1, 0.5))
    assert all(after == "1:arm0" for before, after in zip(small, large, strict=True) if before == "1:arm0")
    assert 0.45 < large.count("1:arm0") / len(large) < 0.55


def test_two_rollouts_never_cross_and_are_shuffled_anew() -> None:
    one, other = rollout(1, 0.5, high=0.4), rollout(2, 0.5, low=0.4)
    alone, both = who(one), who(one, other)
    assert all(a == b for a, b in zip(alone, both, strict=True) if a != "champion")
    assert {"1:arm0", "1:champion", "2:arm0", "2:champion"} == set(both)
    again = who(rollout(3, 0.5, high=0.4))
    takes_part = [(a, b) for a, b in zip(alone, again, strict=True) if a != "champion"]
    same = sum(a.split(":")[1] == b.split(":")[1] for a, b in takes_part) / len(takes_part)
    assert 0.46 < same < 0.54


def test_the_champion_answers_for_no_entity_and_beside_a_shadow() -> None:
    assert assigned("fraud", [rollout(1, 1.0)], None) == OUTSIDE
    shadow = PublishedRollout(4, "s", 0.0, 0.0, (PublishedArm("new", 9, "0" * 64, 0.0),), over_all=True)
    assert set(who(shadow)) == {"champion"}
    assert "1:arm0" in who(shadow, rollout(1, 0.5))
