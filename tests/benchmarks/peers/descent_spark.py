"""Spark MLlib's LogisticRegression, local[2]: it tells its objectives, not when they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession

from peers.descent import L2, ObjectiveTrace, data, loaded


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    x, y = loaded(options)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "6g")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    try:
        frame = _frame(spark, x, y, data(options)[0].with_name("rows.parquet"))
        yield lambda request: _fit(frame, request["iterations"])
    finally:
        spark.stop()


def _frame(spark: Any, x: Any, y: Any, file: Path) -> Any:
    """Two partitions in Spark's memory, as its manual advises."""
    if not file.exists():
        flat = pa.array(x.ravel())
        rows = pa.ListArray.from_arrays(x.shape[1] * np.arange(len(x) + 1, dtype=np.int32), flat)
        table = pa.table({"label": y.astype(np.float64), "row": rows})
        pq.write_table(table, file, row_group_size=len(y) // 2)
    frame = spark.read.parquet(str(file)).select("label", array_to_vector("row").alias("features"))
    frame = frame.repartition(2).cache()
    frame.count()
    return frame


def _fit(frame: Any, iterations: int) -> dict[str, Any]:
    trace = ObjectiveTrace()
    model = LogisticRegression(
        regParam=L2,
        elasticNetParam=0.0,
        standardization=False,
        family="multinomial",
        maxIter=iterations,
        tol=1e-12,
    ).fit(frame)
    answer = trace.answer(len(model.summary.objectiveHistory) - 1)
    each = answer["seconds"] / max(1, answer["iterations"])
    history = model.summary.objectiveHistory
    answer["course"] = [(each * index, objective) for index, objective in enumerate(history)][1:]
    return answer
