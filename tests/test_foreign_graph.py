"""FaceNet graphs of other origin: a queue or a placeholder at `input`, a `phase_train` switch, a batch frozen to 1.

The graphs are made here, small and with known weights, so that the right answer can be computed beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_server.errors import ModelFileError
from face_server.types import FloatArray
from face_server.vision.runtime import load_frozen_graph

SIDE, DIMENSION = 8, 5
GENERATOR = np.random.default_rng(20180408)
WEIGHTS = GENERATOR.normal(size=(SIDE * SIDE * 3, DIMENSION)).astype(np.float32)
#: Of the batch normalisation, as it was learnt; `phase_train` would take the batch's own instead.
MEAN, VARIANCE = GENERATOR.normal(size=DIMENSION), GENERATOR.uniform(0.5, 2, DIMENSION)

Build = Callable[[Any], Any]


@pytest.fixture(scope="module")
def v1() -> Any:
    import tensorflow

    return tensorflow.compat.v1


def saved(path: Path, v1: Any, build: Build, change: Callable[[Any], None] = lambda graph: None) -> Path:
    """Build a graph, write it as a frozen .pb."""
    with v1.Graph().as_default() as graph:
        build(v1)
    definition = graph.as_graph_def()
    change(definition)
    path.write_bytes(definition.SerializeToString())
    return path


def pictures(count: int) -> FloatArray:
    return np.random.default_rng(count).uniform(-1, 1, (count, SIDE, SIDE, 3)).astype(np.float32)


def expected(batch: FloatArray, normalise: bool = True) -> FloatArray:
    """What the graph should give: unit vectors of (x W - mean) / sqrt(variance)."""
    out = batch.reshape(len(batch), -1) @ WEIGHTS
    if normalise:
        out = (out - MEAN) / np.sqrt(VARIANCE)
    return (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)


def tail(v1: Any, flat: Any) -> None:
    """Dense layer, batch normalisation switched by `phase_train` where the graph has one, unit length."""
    out = v1.matmul(flat, v1.constant(WEIGHTS))
    names = {operation.name for operation in v1.get_default_graph().get_operations()}
    if "phase_train" in names:
        switch = v1.get_default_graph().get_tensor_by_name("phase_train:0")
        mean, variance = v1.nn.moments(out, [0])
        mean = v1.cond(switch, lambda: mean, lambda: v1.constant(MEAN, v1.float32))
        variance = v1.cond(switch, lambda: variance, lambda: v1.constant(VARIANCE, v1.float32))
    else:
        mean, variance = v1.constant(MEAN, v1.float32), v1.constant(VARIANCE, v1.float32)
    v1.nn.l2_normalize(v1.nn.batch_normalization(out, mean, variance, None, None, 0.0), 1, 1e-10, name="embeddings")


def with_placeholder(v1: Any) -> None:
    source = v1.placeholder(v1.float32, (None, SIDE, SIDE, 3), name="input")
    v1.placeholder(v1.bool, (), name="phase_train")
    tail(v1, v1.reshape(source, (-1, SIDE * SIDE * 3)))


def with_queue(v1: Any) -> None:
    """As the training script left it: pictures come out of a queue, `input` is the name of what comes."""
    batch_size = v1.placeholder(v1.int32, name="batch_size")
    queue = v1.FIFOQueue(100, [v1.float32], [(SIDE, SIDE, 3)], name="batch_join/fifo_queue")
    source = v1.identity(queue.dequeue_up_to(batch_size, name="batch_join"), "image_batch")
    source = v1.identity(source, "input")
    v1.placeholder(v1.bool, (), name="phase_train")
    tail(v1, v1.reshape(source, (-1, SIDE * SIDE * 3)))


def with_unshaped_placeholder(v1: Any) -> None:
    source = v1.placeholder(v1.float32, name="input")
    v1.placeholder_with_default(True, (), name="phase_train")
    tail(v1, v1.reshape(source, (-1, SIDE * SIDE * 3)))


def with_unused_switch(v1: Any) -> None:
    """A switch that is declared after the layers that would read it."""
    source = v1.placeholder(v1.float32, (None, SIDE, SIDE, 3), name="input")
    tail(v1, v1.reshape(source, (-1, SIDE * SIDE * 3)))
    v1.placeholder(v1.bool, (), name="phase_train")


def frozen_at_one(flat_shape: tuple[int, int], dtype: str = "int32") -> Build:
    """A batch of 1 in the placeholder and in the constants of both reshapes."""

    def build(v1: Any) -> None:
        source = v1.placeholder(v1.float32, (1, SIDE, SIDE, 3), name="input")
        scaled = v1.reshape(source, v1.constant((1, SIDE * SIDE, 3), dtype))
        tail(v1, v1.reshape(scaled, v1.constant(flat_shape, dtype)))

    return build


def frozen_at_one_with_a_shared_constant(v1: Any) -> None:
    """Optimisers give one constant to all who ask for the same: here to layers of two sizes."""
    source = v1.placeholder(v1.float32, (1, SIDE, SIDE, 3), name="input")
    shape = v1.constant((1, -1))
    v1.reshape(source[:, :2], shape, name="side_branch")
    small = v1.reshape(v1.get_default_graph().get_tensor_by_name("side_branch:0"), (1, 2 * SIDE * 3))
    flat = v1.reshape(source, shape)
    tail(v1, flat + 0.0 * v1.reduce_sum(small, 1, keepdims=True))


def frozen_at_one_with_broadcast_constants(v1: Any) -> None:
    """What is reshaped to begin with 1 need not be the batch: a bias is, and so is a sum that is no vector at all."""
    source = v1.placeholder(v1.float32, (1, SIDE, SIDE, 3), name="input")
    bias = v1.reshape(v1.constant(np.zeros(3, np.float32)), v1.constant((1, 1, 1, 3)))
    nothing = v1.reshape(v1.constant(np.zeros(1, np.float32)), v1.constant((), v1.int32, (0,)))
    tail(v1, v1.reshape(source + bias + nothing, v1.constant((1, SIDE * SIDE * 3))))


GRAPHS: dict[str, Build] = {
    "a placeholder": with_placeholder,
    "a queue": with_queue,
    "a placeholder without a shape": with_unshaped_placeholder,
    "an unused switch": with_unused_switch,
    "batch 1 and [1, -1]": frozen_at_one((1, -1)),
    "batch 1 and [1, n]": frozen_at_one((1, SIDE * SIDE * 3)),
    "batch 1 in int64": frozen_at_one((1, -1), "int64"),
    "batch 1 and a shared [1, -1]": frozen_at_one_with_a_shared_constant,
    "batch 1 and broadcast constants": frozen_at_one_with_broadcast_constants,
}


@pytest.mark.parametrize("build", GRAPHS.values(), ids=GRAPHS)
def test_a_graph_of_other_origin_embeds_any_batch_with_the_learnt_statistics(
    tmp_path: Path, v1: Any, build: Build
) -> None:
    network = load_frozen_graph(saved(tmp_path / "facenet.pb", v1, build), "input", SIDE, "embeddings")
    for count in (1, 3, 2, 16):
        (vectors,) = network(pictures(count))
        assert vectors.dtype == np.float32 and vectors.shape == (count, DIMENSION)
        np.testing.assert_allclose(vectors, expected(pictures(count)), atol=2e-6)


def test_the_training_statistics_would_give_other_vectors() -> None:
    """Else the test above could not tell which way `phase_train` stood."""
    batch = pictures(16)
    out = batch.reshape(16, -1) @ WEIGHTS
    trained = (out - out.mean(0)) / out.std(0)
    trained /= np.linalg.norm(trained, axis=1, keepdims=True)
    assert np.abs(trained - expected(batch)).max() > 0.1
    assert np.abs(expected(batch, normalise=False) - expected(batch)).max() > 0.1


def test_a_graph_that_was_trained_on_another_device_runs_here(tmp_path: Path, v1: Any) -> None:
    def elsewhere(graph: Any) -> None:
        for node in graph.node:
            node.device = "/job:trainer/task:0/device:GPU:3"

    path = saved(tmp_path / "facenet.pb", v1, with_placeholder, elsewhere)
    (vectors,) = load_frozen_graph(path, "input", SIDE, "embeddings")(pictures(4))
    np.testing.assert_allclose(vectors, expected(pictures(4)), atol=2e-6)


def test_vectors_do_not_depend_on_who_else_is_in_the_batch(tmp_path: Path, v1: Any) -> None:
    network = load_frozen_graph(saved(tmp_path / "facenet.pb", v1, with_queue), "input", SIDE, "embeddings")
    batch = pictures(5)
    (together,) = network(batch)
    alone = np.concatenate([network(batch[i : i + 1])[0] for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=2e-6)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x00" * 1000, b"\x89PNG\r\n\x1a\n", bytes(range(256)) * 50])
def test_bytes_that_are_no_graph_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "facenet.pb"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="no frozen graph from input to embeddings") as error:
        load_frozen_graph(path, "input", SIDE, "embeddings")
    assert str(path) in str(error.value)


def test_half_a_graph_is_refused(tmp_path: Path, v1: Any) -> None:
    path = saved(tmp_path / "facenet.pb", v1, with_placeholder)
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ModelFileError):
            load_frozen_graph(path, "input", SIDE, "embeddings")


def without_input(v1: Any) -> None:
    tail(v1, v1.placeholder(v1.float32, (None, SIDE * SIDE * 3), name="image"))


def without_output(v1: Any) -> None:
    v1.placeholder(v1.float32, (None, SIDE, SIDE, 3), name="input")


def with_bytes_for_input(v1: Any) -> None:
    tail(v1, v1.reshape(v1.cast(v1.placeholder(v1.uint8, (None, SIDE, SIDE, 3), name="input"), "float32"), (-1, 192)))


@pytest.mark.parametrize("build", [without_input, without_output, with_bytes_for_input])
def test_a_graph_without_the_nodes_is_refused(tmp_path: Path, v1: Any, build: Build) -> None:
    path = saved(tmp_path / "other.pb", v1, build)
    with pytest.raises(ModelFileError, match="no frozen graph from input to embeddings"):
        load_frozen_graph(path, "input", SIDE, "embeddings")


def test_a_graph_with_an_operation_that_is_not_known_is_refused(tmp_path: Path, v1: Any) -> None:
    def foreign(graph: Any) -> None:
        next(node for node in graph.node if node.op == "MatMul").op = "SecretMatMul"

    path = saved(tmp_path / "facenet.pb", v1, with_placeholder, foreign)
    with pytest.raises(ModelFileError, match="SecretMatMul"):
        load_frozen_graph(path, "input", SIDE, "embeddings")


@pytest.mark.parametrize("side", [SIDE // 2, SIDE - 1, SIDE * 2])
@pytest.mark.parametrize("build", [with_unshaped_placeholder, frozen_at_one((1, -1)), frozen_at_one((1, SIDE**2 * 3))])
def test_a_network_made_for_pictures_of_another_size_is_refused_when_it_is_loaded(
    tmp_path: Path, v1: Any, build: Build, side: int
) -> None:
    """Twice the side is four times the pixels: a reshape would make them four people."""
    path = saved(tmp_path / "facenet.pb", v1, build)
    with pytest.raises(ModelFileError, match="no frozen graph from input to embeddings"):
        load_frozen_graph(path, "input", side, "embeddings")


def test_a_network_that_gives_maps_instead_of_vectors_is_refused(tmp_path: Path, v1: Any) -> None:
    def maps(v1: Any) -> None:
        v1.identity(v1.placeholder(v1.float32, (None, SIDE, SIDE, 3), name="input"), "embeddings")

    with pytest.raises(ModelFileError, match=r"of 2 pictures of 8 px it makes \(2, 8, 8, 3\), not 2 vectors"):
        load_frozen_graph(saved(tmp_path / "facenet.pb", v1, maps), "input", SIDE, "embeddings")
