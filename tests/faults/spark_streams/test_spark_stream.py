"""Topics and features on a real Spark, through harm to each part: counts are exact, every cell is what a batch makes.

Each harm is done EVERGREEN_TEST_POINTS times, at moments that are drawn, to the same stream; where that is not set, a
few of them are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from worlds.draws import POINTS, drawn
from worlds.exact_streams import assert_exact, assert_letters
from worlds.kafka_server import KafkaServer
from worlds.spark_server import SparkServer
from worlds.spark_stage import HARMS, Stage
from worlds.stream_processes import Topics
from worlds.streamed_world import World

from jobs.settings import Settings

FEW = 1
DRAWN = HARMS if POINTS > 1 else drawn("harms to Spark").sample(HARMS, FEW)
pytestmark = [pytest.mark.servers, pytest.mark.spark, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    world = World(Settings(home=folder / "home"), drawn("spark streams"))
    world.history(100)
    with (
        SparkServer(folder) as spark,
        KafkaServer(folder / "kafka") as broker,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("SPARK_REMOTE", spark.url)
        made = Stage(world, spark, broker, Topics(world, broker.address))
        yield made
        made.close()


@pytest.mark.parametrize("harm", DRAWN)
def test_nothing_is_lost_and_nothing_doubled_where(harm: str, stage: Stage) -> None:
    for _ in range(POINTS):
        stage.comes()
        stage.waits()
        getattr(stage, harm)()
        stage.comes()
        stage.catches_up()
    assert_exact(stage.world)
    assert_letters(stage.topics)
