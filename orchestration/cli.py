"""The `evergreen` command: registers the commands, of which each has a file in `orchestration.commands`.

These files parse, call and print. Heavy libraries are imported inside the functions that need them, so that `--help`
and "nothing new" are instant.
"""

import click

from jobs import home_version, settings
from orchestration.commands import (
    alerts,
    approvals,
    backtest,
    backup,
    check,
    dlq,
    docs,
    doctor,
    engine,
    features,
    init,
    inputs,
    kafka,
    keys,
    leaderboard,
    maintain,
    models,
    propose,
    repair,
    replay,
    reproduce,
    retraining,
    review,
    rollout,
    run,
    schema,
    serve,
    simulate,
    spark,
    status,
    stream,
    ui,
    up,
    whatif,
)
from orchestration.error_boundary import Commands, add_debug
from orchestration.project import enter
from orchestration.relocation import settle

COMMANDS: tuple[click.Command, ...] = (
    alerts.alerts,
    approvals.approve,
    approvals.reject,
    approvals.rollback,
    backtest.backtest,
    backup.backup,
    check.check,
    dlq.dlq,
    docs.docs,
    doctor.doctor,
    engine.engine,
    features.features,
    init.init,
    inputs.inputs,
    kafka.kafka,
    keys.keys,
    leaderboard.leaderboard,
    maintain.maintain,
    models.models,
    propose.propose,
    repair.repair,
    replay.replay,
    reproduce.reproduce,
    backup.restore,
    retraining.retraining,
    review.review,
    rollout.rollout,
    run.run,
    schema.schema,
    serve.serve,
    simulate.simulate,
    spark.spark,
    status.status,
    stream.stream,
    init.test,
    ui.ui,
    up.up,
    whatif.whatif,
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="evergreen-ml")
def main() -> None:
    """Evergreen keeps models fresh: from files to features, models, predictions, and the decision to train again.

    `run` builds everything, `status` says how things are, `ui` shows it in the browser. State lives under
    EVERGREEN_HOME (default .evergreen); deleting it is a clean start. Tables go through the embedded engine unless
    SPARK_REMOTE names a Spark Connect server.
    """
    own = settings.load()
    home_version.upgrade(own)
    settle(own)
    enter(own)


for command in COMMANDS:
    main.add_command(command)
add_debug(main)
