"""What the columns of the ledger and of quarantine tables are: tables that no use case declares."""

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.data_dictionary.event_columns import UTC
from jobs.data_dictionary.meaning import Meaning

QUARANTINE: Mapping[str, Meaning] = {
    "row": Meaning("The row as it was found in the file: a JSON object of texts."),
    "reasons": Meaning("Why it was not let in; several reasons are parted by semicolons."),
    "columns": Meaning("The columns that the reasons are about, parted by commas."),
    "file": Meaning("Path of the file that holds it."),
    "as_of": Meaning("The moment that the world was known at when it was read first.", UTC),
    "row_hash": Meaning("Hash of `row` (32 hexadecimal digits): a row of a file is kept once.", is_identifier=True),
}
_COMMON: Mapping[str, Meaning] = {
    "id": Meaning("Number of the row, in the order in which rows were written.", is_identifier=True),
    "use_case": Meaning("Name of the use case."),
    "as_of": Meaning("The moment that the use case's world was known at.", UTC),
    "decided_at": Meaning("When it was decided, by the clock.", UTC),
    "by": Meaning("Who decided: a person's name, a schedule, a sensor, a run, or evergreen itself."),
    "reason": Meaning("Why, in words."),
    "evidence": Meaning("JSON: figures and verdicts that it rests on."),
    "versions": Meaning("JSON: Delta version of every table that it rests on."),
    "champion_version": Meaning("Version of the model in production then; null if there was none.", is_identifier=True),
}
"""Columns under the same name in several tables; what TABLES says of one wins."""
LEDGER: Mapping[str, Mapping[str, Meaning]] = {
    "pins": {
        "table_name": Meaning("Table of which a version must stay readable."),
        "version": Meaning("That Delta version.", is_identifier=True),
        "pinned_by": Meaning("What was made from it, such as a version of the training set."),
    },
    "evaluations": {
        "digest": Meaning("Hash of what was compared: the same comparison is made once.", is_identifier=True),
        "model_version": Meaning("Version of the candidate in the registry.", is_identifier=True),
        "sha256": Meaning("Hash of the candidate's bundle.", is_identifier=True),
        "passed": Meaning("Whether the gate let it pass."),
        "needs_person": Meaning("Whether a person has to approve it although it passed."),
    },
    "challenges": {
        "digest": Meaning("Hash of what was compared: the same challenge is made once.", is_identifier=True),
        "sha256": Meaning("Hash of the challenger's bundle.", is_identifier=True),
        "champion_version": Meaning("Version of the champion that was challenged.", is_identifier=True),
        "champion_sha256": Meaning("Hash of that champion's bundle.", is_identifier=True),
    },
    "looks": {
        "digest": Meaning(
            "Evaluation or challenge it was taken for; asked again, it is the same look.", is_identifier=True
        ),
        "tenure": Meaning("Decision that began the champion's time in production; 0: nobody was.", is_identifier=True),
        "number": Meaning("Which look at this champion it is, counted from 1."),
        "level": Meaning("One-sided confidence that it asks of a candidate.", "share"),
        "spent": Meaning("Chance of replacing the champion by an equal that it and earlier looks have spent.", "share"),
        "alpha": Meaning("Largest such chance that all looks may spend together.", "share"),
    },
    "training_costs": {
        "sha256": Meaning(
            "Hash of the bundle that the training made; the first training of it counts.", is_identifier=True
        ),
        "seconds": Meaning("How long it took to fit the model, in seconds; searches and comparisons are not counted."),
        "cpu_seconds": Meaning("Processor time of it, in seconds."),
        "gpu_seconds": Meaning("Time for which a GPU was held, in seconds."),
        "peak_bytes": Meaning("Largest resident memory of the process meanwhile, in bytes."),
        "money": Meaning("What that time costs at the declared prices."),
    },
    "decisions": {
        "as_of": Meaning("The moment of the use case's world; a promoted model is champion from then on.", UTC),
        "kind": Meaning("What was decided: promotion, approval, rejection or rollback."),
        "outcome": Meaning("What came of it: promoted, refused, waiting or rejected."),
        "authenticated": Meaning("Whether it is known that `by` was who decided."),
        "model_version": Meaning("Version that was decided about.", is_identifier=True),
        "sha256": Meaning("Hash of its bundle.", is_identifier=True),
        "digest": Meaning("Evaluation that it rests on; null for what rests on none.", is_identifier=True),
    },
    "champions": {
        "version": Meaning("Version in production.", is_identifier=True),
        "sha256": Meaning("Hash of its bundle.", is_identifier=True),
        "since": Meaning("From when on it was in production, in the use case's world.", UTC),
        "until": Meaning("Until when; null for the champion of now.", UTC),
        "decision": Meaning("Number of the decision that made it champion.", is_identifier=True),
        "closed_by": Meaning("Number of the decision that ended it; null for the champion of now.", is_identifier=True),
    },
    "evidence": {
        "digest": Meaning("Hash of the content: the same evidence is kept once.", is_identifier=True),
        "kept_at": Meaning("When it was written, by the clock.", UTC),
        "content": Meaning("JSON: scores of tests, named features, positives by day, versions of tables."),
    },
    "retrainings": {
        "digest": Meaning("Evidence that was decided about; the same one is decided about once.", is_identifier=True),
        "retrain": Meaning("Whether a training is due."),
        "trigger": Meaning(
            "What called for it: first, alarm, growth, age or asked (by a person); none if nothing did."
        ),
        "episode": Meaning("First day (UTC) of the change that is being learned; null if there is none."),
        "positives": Meaning("Number of known positives since that day."),
        "alarms": Meaning("JSON: tests that raised an alarm."),
        "expected_gain": Meaning("Expected gain of a training in the objective; 0 if it was not estimated."),
    },
    "trainings": {
        "retraining": Meaning("Number of the decision that asked for the training.", is_identifier=True),
        "finished_at": Meaning("When it ended, by the clock.", UTC),
        "model_version": Meaning("Version that it registered; null if it registered none.", is_identifier=True),
        "said": Meaning("Its result, in words."),
    },
    "rollouts": {
        "name": Meaning("Name of the rollout; one that goes on has it alone."),
        "strategy": Meaning("JSON: kind, steps and limits, as they were declared when it started."),
        "arms": Meaning("JSON: name, version and hashes of each model beside the champion."),
        "champion_sha256": Meaning("Hash of the champion's bundle.", is_identifier=True),
        "low": Meaning("Where its part of the entities begins, as a place from 0 to 1.", "share"),
        "high": Meaning("Where that part ends; where it begins for one that changes no answer.", "share"),
        "started_at": Meaning("When it started, by the clock.", UTC),
        "log_stamp": Meaning("Stamp of the last record of the decision log then: what it shows comes later."),
        "ended_at": Meaning("When it ended, by the clock; null while it goes on.", UTC),
    },
    "rollout_changes": {
        "rollout": Meaning("Number of the rollout that was changed.", is_identifier=True),
        "number": Meaning("Which change of it, counted from 1."),
        "changed_at": Meaning("When, by the clock.", UTC),
        "kind": Meaning("started, changed, paused, resumed, rolled back, completed or aborted."),
        "shares": Meaning("JSON: arm -> its share of the rollout's entities from then on; the champion has the rest."),
        "authenticated": Meaning("Whether it is known that `by` was who changed it."),
    },
    "feature_searches": {
        "changed_on": Meaning("First day (UTC) of the change since which quality is lower."),
        "objective": Meaning("What quality is measured by."),
        "before": Meaning("Mean of the mature days before the change."),
        "after": Meaning("Mean of the latest mature days after the last training."),
        "since": Meaning("First of these days (UTC)."),
        "until": Meaning("Last of these days (UTC)."),
        "recorded_at": Meaning("When the search was found to be due, by the clock.", UTC),
        "ended_at": Meaning("When it was due no longer, by the clock; null while it is.", UTC),
        "outcome": Meaning("Why it is due no longer: searched or recovered; null while it is due."),
        "result": Meaning("What was found, in words; null while it is due."),
    },
    "alerts": {
        "kind": Meaning("What is wrong, such as change, late_predictions or run_failed."),
        "subject": Meaning("What it is wrong with: a test, a feature, a table, a day or a job."),
        "said": Meaning("What was expected, what was found and what to do, in words."),
        "severity": Meaning("How bad it is: error or warning."),
        "raised_at": Meaning("When the condition was found first, by the clock.", UTC),
        "told_at": Meaning("When people were notified last, by the clock.", UTC),
        "tellings": Meaning("Number of notifications."),
        "resolved_at": Meaning("When the condition was over, by the clock; null while it lasts.", UTC),
    },
    "alert_deliveries": {
        "alert": Meaning("Number of the alert.", is_identifier=True),
        "telling": Meaning("Which of its notifications, from 1.", is_identifier=True),
        "channel": Meaning("Where it goes to: log, webhook or email."),
        "attempts": Meaning("Number of attempts to deliver it."),
        "claimed_at": Meaning("When a process last began to deliver it, by the clock.", UTC),
        "delivered_at": Meaning("When it was delivered, by the clock; null if it was not yet.", UTC),
        "failure": Meaning("Why the last attempt failed; null if none did."),
    },
    "admin_actions": {
        "acted_at": Meaning("When it was done, by the clock.", UTC),
        "by": Meaning("Who did it: a user of a machine, a key's name, a token's subject, or an address."),
        "action": Meaning("What was done: a command, or method and path of a call that only the scope admin opened."),
        "subject": Meaning("What it was done to, such as a key's name and scopes; empty for a call."),
        "origin": Meaning("From where: the machine of a command, or the address of a client."),
    },
}
"""Table of the ledger -> its own columns."""


@dataclass(frozen=True)
class LedgerDictionary:
    """What the columns of one table of the ledger hold."""

    table: str

    def meaning(self, column: str) -> Meaning:
        """The meaning of a column. Raises KeyError for one that the ledger does not have."""
        return LEDGER[self.table].get(column) or _COMMON[column]


@dataclass(frozen=True)
class QuarantineDictionary:
    """What the columns of a quarantine table hold."""

    def meaning(self, column: str) -> Meaning:
        """The meaning of a column. Raises KeyError for one that it does not have."""
        return QUARANTINE[column]
