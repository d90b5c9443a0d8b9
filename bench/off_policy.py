"""How far estimates of another policy are from the truth, how often intervals hold it, and how often equal arms are
told apart: `bench/off_policy.py [--only payments looks bandit] [--open-bandit FILE] [--rounds 1000]`.

Payments: a simulated world whose truth is known; a policy blocks by one model and lets a quarter of it pass by lot, and
what alerts of another model would save is estimated. Each round draws the customers anew.
Looks: two equal arms, and two that differ by what the forecast promises to find, looked at every day of a year.
Bandit: impressions of the Open Bandit Dataset under two policies, each estimated from the other one's log; FILE has the
columns policy, campaign, item_id, position, click and propensity_score. Without a file this part is left out, and said.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import REPORTS
from worlds.policy_logs import Events

from jobs.models.catalog import new_model
from jobs.models.tables import examples_of, features_of
from jobs.off_policy.policy_log import PolicyLog
from jobs.simulate.simulator import scenario, write
from jobs.stats.confidence_sequences import Looking, of_difference
from jobs.stats.detectable_effect import detectable_effect, spread_of_difference
from jobs.stats.logged_decisions import LoggedDecisions, RewardModel, weights_of
from jobs.stats.off_policy import estimates
from jobs.stats.studentised_bootstrap import ratio_interval
from jobs.use_case import problem_of
from jobs.use_cases.fraud import FRAUD

REPORT = REPORTS / "off_policy.json"
START, DAYS, TRAINED = date(2026, 2, 1), 90, 60
CUSTOMERS = 4000
"""Of a round."""
DAYS_OF_LOOKS, A_DAY = 365, 40
FEATURES = ("amount", "to_mean", "hour", "customer_today", "terminal_frauds")
OTHER = FEATURES[:4]
"""The policy of the log does not know what terminals had."""
BOOSTED = {"rounds": 60, "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 50}
THRESHOLD = 0.1


def main() -> None:
    """Measure and print; writes docs/benchmarks/off_policy.json, keeping the parts that are not asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=["payments", "looks", "bandit"])
    parser.add_argument("--open-bandit", type=Path)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--data", help="not used: the payments are simulated")
    asked = parser.parse_args()
    parts: dict[str, Callable[[], Any]] = {
        "payments": lambda: payments(asked.rounds),
        "looks": lambda: looks(asked.rounds),
        "bandit": lambda: bandit(asked.open_bandit),
    }
    found = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    for name in asked.only:
        if name == "bandit" and asked.open_bandit is None:
            print("bandit: left out, as --open-bandit FILE names no impressions")
            continue
        found[name] = parts[name]()
        print(name, json.dumps(found[name], indent=2), flush=True)
        REPORT.write_text(json.dumps(found, indent=2) + "\n")


def payments(rounds: int) -> dict[str, Any]:
    """Errors and coverage of what alerts of the model with all features save, by a log of the other one."""
    world, problem = _world(), problem_of(FRAUD)
    assert problem.review is not None
    truth = world.money_saved(THRESHOLD, problem.review.cost)
    generator, names = np.random.default_rng(0), np.unique(world.customers)
    errors: dict[str, list[float]] = {}
    of_lots: dict[str, list[float]] = {}
    held: dict[str, list[bool]] = {}
    for _ in range(rounds):
        drawn = world.of(generator.choice(names, CUSTOMERS))
        of_drawn = drawn.money_saved(THRESHOLD, problem.review.cost)
        for one in estimates(_money(drawn.log(generator), problem.review.cost)):
            errors.setdefault(one.estimator, []).append(one.value - truth)
            of_lots.setdefault(one.estimator, []).append(one.value - of_drawn)
            if np.isfinite(one.lower):
                held.setdefault(one.estimator, []).append(one.lower <= truth <= one.upper)
    deviations, by_lots = _deviations(errors), _deviations(of_lots)
    return {
        "truth": round(truth, 4),
        "rounds": rounds,
        "payments_a_round": round(len(world.labels) * CUSTOMERS / len(names)),
        "frauds_a_round": round(float(world.labels.sum()) * CUSTOMERS / len(names)),
        "error_of_ips": round(by_lots["ips"] / truth, 4),
        "error_over_ips": {name: round(each / by_lots["ips"], 3) for name, each in by_lots.items()},
        "bias_over_error_of_ips": {
            name: round(float(np.mean(each)) / by_lots["ips"], 3) for name, each in of_lots.items()
        },
        "error_of_ips_with_that_of_drawing_customers": round(deviations["ips"] / truth, 4),
        "error_over_ips_with_that_of_drawing_customers": {
            name: round(each / deviations["ips"], 3) for name, each in deviations.items()
        },
        "intervals": {name: len(each) for name, each in held.items()},
        "coverage": {name: round(float(np.mean(each)), 3) for name, each in held.items()},
    }


def _money(log: PolicyLog, cost: float) -> LoggedDecisions:
    """What alerts save, as `evergreen whatif` estimates it."""
    alerts = log.scores >= THRESHOLD
    seen, expected = (alerts * (chance * log.amounts - cost) for chance in (log.labels, log.scores))
    return LoggedDecisions.of(seen, log.weights, log.clusters, RewardModel(expected, expected), log.unseen)


def _deviations(errors: dict[str, list[float]]) -> dict[str, float]:
    """Root mean squares."""
    return {name: float(np.sqrt(np.mean(np.square(each)))) for name, each in errors.items()}


def _world() -> Events:
    """The last month of a simulated world, scored by two models that learned from the months before."""
    with tempfile.TemporaryDirectory() as folder:
        world = scenario("stable", start=START, days=DAYS, customers=5000, terminals=3750)
        files = write(world, folder, truth=True)
        read = {name: pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
                for name, path in files.items() if name in ("transactions", "truth")}  # fmt: skip
    rows = _features(read["transactions"].join(read["truth"], on="TRANSACTION_ID"))
    early, late = rows.filter(pl.col("day") < TRAINED), rows.filter(pl.col("day") >= TRAINED)
    scores = []
    for names in (OTHER, FEATURES):
        model = new_model("boosted", BOOSTED)
        model.fit(examples_of(early.to_arrow(), names, "fraud"), None, seed=0, device="cpu")
        scores.append(np.asarray(model.predict(features_of(late.to_arrow(), names)), np.float64))
    blocking = np.quantile(scores[0], 0.98)
    # The policy of the log blocks the riskiest 2 %.
    logged = np.where(scores[0] >= blocking, 1.0, scores[0] * 0.5)
    labels, amounts = late["fraud"].to_numpy().astype(np.bool_), late["amount"].to_numpy()
    return Events(labels, amounts, logged, scores[1], late["CUSTOMER_ID"].to_numpy())


def _features(rows: pl.DataFrame) -> pl.DataFrame:
    """What an analyst would try first; frauds of a terminal are those known after a week."""
    time = pl.col("TX_DATETIME").cast(pl.Datetime("us"), strict=False)
    if rows["TX_DATETIME"].dtype == pl.String:
        time = pl.col("TX_DATETIME").str.to_datetime()
    rows = rows.with_columns(time.alias("time"), amount=pl.col("TX_AMOUNT").cast(pl.Float64)).sort("time")
    rows = rows.with_columns(day=(pl.col("time").dt.date() - START).dt.total_days(), fraud=pl.col("IS_FRAUD") == 1)
    frauds = rows.group_by("TERMINAL_ID", "day").agg(frauds=pl.col("fraud").sum().cast(pl.Float64))
    every = pl.DataFrame({"lag": range(8, 29)})
    known = frauds.join(every, how="cross").with_columns(day=pl.col("day") + pl.col("lag"))
    known = known.group_by("TERMINAL_ID", "day").agg(terminal_frauds=pl.col("frauds").sum())
    before = pl.col("amount").cum_sum().over("CUSTOMER_ID") - pl.col("amount")
    earlier = pl.int_range(pl.len()).over("CUSTOMER_ID")
    return (
        rows.join(known, on=["TERMINAL_ID", "day"], how="left", maintain_order="left")
        .with_columns(
            pl.col("terminal_frauds").fill_null(0.0),
            to_mean=pl.col("amount") * earlier / pl.max_horizontal(before, 1.0),
            hour=pl.col("time").dt.hour().cast(pl.Float64),
            customer_today=pl.int_range(pl.len()).over("CUSTOMER_ID", "day").cast(pl.Float64),
        )
    )  # fmt: skip


def looks(rounds: int) -> dict[str, Any]:
    """Shares of worlds in which arms are told apart, at any daily look of a year."""
    count, looking = DAYS_OF_LOOKS * A_DAY, Looking(0.05, DAYS_OF_LOOKS * A_DAY / 4)
    at = np.arange(A_DAY - 1, count, A_DAY)
    effect = detectable_effect(spread_of_difference(1.0, 0.5, 1.0, 0.5), count / 4, looking)
    kinds: dict[str, Callable[[np.random.Generator], Any]] = {
        "clicks": lambda generator: (generator.random(count) < 0.02).astype(float),
        "money": lambda generator: (generator.random(count) < 0.02) * generator.lognormal(0, 1, count),
        "numbers": lambda generator: generator.normal(0, 1, count),
    }
    found: dict[str, Any] = {"events_a_day": A_DAY, "days": DAYS_OF_LOOKS, "rounds": rounds}
    for name, draw in kinds.items():
        generator = np.random.default_rng(1)
        told, fixed = 0, 0
        for _ in range(rounds):
            one = generator.random(count) < 0.5
            sequence = of_difference(draw(generator), one * 2.0, ~one * 2.0, looking)
            told += bool(sequence.excludes(0.0)[at].any())
            half = (sequence.upper - sequence.estimate)[at] * 1.96 / looking.standard_errors(at + 1)
            fixed += bool((np.abs(sequence.estimate[at]) > half).any())
        found[f"equal_{name}"] = {"told_apart": round(told / rounds, 4), "by_fixed_intervals": round(fixed / rounds, 4)}
    found["found_in_the_time_of_the_forecast"] = round(_found(effect, count // 4, rounds, looking), 3)
    return found


def _found(effect: float, count: int, rounds: int, looking: Looking) -> float:
    generator, found = np.random.default_rng(2), 0
    for _ in range(rounds):
        one = generator.random(count) < 0.5
        values = generator.normal(0, 1, count) + effect * one
        found += bool(of_difference(values, one * 2.0, ~one * 2.0, looking).excludes(0.0)[A_DAY - 1 :: A_DAY].any())
    return found / rounds


def bandit(file: Path) -> dict[str, Any]:
    """Click rates (in thousandths) of either policy, from its own impressions and from those of the other one."""
    impressions, found = pl.read_parquet(file), {}
    for (campaign,), rows in impressions.group_by("campaign", maintain_order=True):
        own = {name: rows.filter(pl.col("policy") == name) for name in ("random", "bts")}
        items = rows["item_id"].n_unique()
        # What the sampling policy shows is drawn anew all day; of the other's impressions its shares are known alone.
        shares = own["bts"].group_by("item_id", "position").agg(shown=pl.len())
        shares = shares.with_columns(share=pl.col("shown") / pl.col("shown").sum().over("position"))
        by_random = own["random"].join(shares, on=["item_id", "position"], how="left", maintain_order="left")
        targets = {
            "random": (own["bts"], np.full(len(own["bts"]), 1 / items)),
            "bts": (own["random"], by_random["share"].fill_null(0.0).to_numpy()),
        }
        for policy, (log, chances) in targets.items():
            found[f"{campaign}: {policy}"] = _of_bandit(own[policy], log, chances)
    return found


def _of_bandit(own: pl.DataFrame, log: pl.DataFrame, chances: Any) -> dict[str, Any]:
    clicks = own["click"].to_numpy().astype(np.float64)
    lower, upper = ratio_interval(clicks, np.ones(len(clicks)), np.arange(len(clicks)))
    logged = LoggedDecisions.of(
        log["click"].to_numpy().astype(np.float64), weights_of(chances, log["propensity_score"].to_numpy())
    )
    shown = {one.estimator: [_thousandths(n) for n in (one.value, one.lower, one.upper)] for one in estimates(logged)}
    return {
        "on_policy": [_thousandths(n) for n in (clicks.mean(), lower, upper)],
        **shown,
        "clicks_in_the_log": int(log["click"].sum()),
        "effective": round(logged.effective),
        "warnings": list(logged.warnings()),
    }


def _thousandths(share: float) -> float | None:
    return round(share * 1000, 2) if np.isfinite(share) else None


if __name__ == "__main__":
    main()
