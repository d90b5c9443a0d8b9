"""The key of every asset of a use case, once.

Dagster keeps the history of an asset under its key, so that a key stays as it is when the asset changes its group.
"""

import dagster as dg

from jobs.use_case import UseCase


class Keys:
    """The asset keys of a use case: `{use case}/{the group that it was first in}/{name}`."""

    def __init__(self, use_case: UseCase) -> None:
        def key(part: str, name: str) -> dg.AssetKey:
            return dg.AssetKey([use_case.name, part, name])

        self.raw = {source.name: key("raw", source.name) for source in use_case.sources}
        self.topics = {source.name: key("topics", source.name) for source in use_case.sources}
        self.stream_tables = {windows.name: key("stream", windows.name) for windows in use_case.windows}
        self.events, self.labels = mart(use_case.events), mart(use_case.labels)
        self.window_tables = {windows.name: key("features", windows.name) for windows in use_case.windows}
        self.profiles = [mart(use_case.profile_table(profile)) for profile in use_case.profiles]
        self.online_store = key("features", "online_store")
        self.history = key("features", "history")
        self.training_set = key("features", "training_set")
        self.tuning = key("training", "tuning")
        self.candidate = key("training", "candidate")
        self.explanation = key("training", "explanation")
        self.fairness = key("training", "fairness")
        self.evaluation = key("promotion", "evaluation")
        self.champion = key("promotion", "champion")
        self.approval = key("promotion", "approval")
        self.leaderboard = key("promotion", "leaderboard")
        self.rollouts = key("serving", "rollouts")
        self.online_decisions = key("serving", "online_decisions")
        self.told_facts = key("serving", "told_facts")
        self.online_drift = key("serving", "online_drift")
        self.online_skew = key("serving", "online_skew")
        self.batch_predictions = key("serving", "batch_predictions")
        self.online_model = key("serving", "online_model")
        self.review_queue = key("monitoring", "review_queue")
        self.label_maturity = key("monitoring", "label_maturity")
        self.performance = key("monitoring", "performance")
        self.business = key("monitoring", "business")
        self.estimate = key("monitoring", "estimate")
        self.drift = key("monitoring", "drift")
        self.drift_report = key("monitoring", "drift_report")
        self.skew = key("monitoring", "skew")
        self.predecessor = key("monitoring", "hindsight")
        self.evidence = key("monitoring", "evidence")
        self.retraining = key("monitoring", "retraining")
        self.feature_search = key("retraining", "feature_search")


def mart(table: str) -> dg.AssetKey:
    """Asset of the mart that a use case calls `schema.table`."""
    schema, name = table.split(".")
    return dg.AssetKey([schema, "marts", name])


def dbt_model(use_case: UseCase, layer: str, table: str) -> dg.AssetKey:
    """Asset of a dbt model, or of a source that dbt reads (layer `raw`)."""
    return dg.AssetKey([use_case.name, layer, table])
