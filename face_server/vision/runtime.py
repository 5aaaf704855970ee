"""Runs a network: numpy arrays in, numpy arrays out. The only module that knows TensorFlow and Keras.

It owns how weights become something callable, compiled once for every batch and picture size. It knows no faces: what
goes in and what comes out is the business of detection and embedding. Weights are handed over as paths of files whose
sha256 was checked before; the `.lz4` files are pickles and must never be opened unchecked.

TensorFlow is imported when the first network is loaded, so that importing this module costs nothing.
"""

from __future__ import annotations

import ctypes
import gc
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from face_server.errors import ModelFileError
from face_server.types import FloatArray


class Network(Protocol):
    """A compiled network. Takes (batch, height, width, channels) float32, gives its outputs in a fixed order."""

    def __call__(self, batch: FloatArray) -> tuple[FloatArray, ...]: ...


def load_mtcnn(pnet: Path, rnet: Path, onet: Path) -> tuple[Network, Network, Network]:
    """P-, R- and O-Net of the `mtcnn` package with the weights of these files.

    P-Net takes any picture (1, h, w, 3) of at least 12 px and gives box offsets (1, h', w', 4) and class
    probabilities (1, h', w', 2); R-Net takes (n, 24, 24, 3) and gives offsets (n, 4), probabilities (n, 2); O-Net
    takes (n, 48, 48, 3) and gives offsets (n, 4), landmarks (n, 10), probabilities (n, 2).
    Raises ModelFileError when a file does not hold the weights of its network.
    """
    _tensorflow()
    from mtcnn.network.onet import ONet
    from mtcnn.network.pnet import PNet
    from mtcnn.network.rnet import RNet

    return (
        _keras_network(PNet(), pnet, (None, None, None, 3)),
        _keras_network(RNet(), rnet, (None, 24, 24, 3)),
        _keras_network(ONet(), onet, (None, 48, 48, 3)),
    )


def load_frozen_graph(path: Path, input_name: str, input_size: int, output_name: str) -> Network:
    """A frozen TensorFlow graph from square pictures (n, size, size, 3) to vectors (n, dimension), for any n.

    Whatever the graph has at `input_name` (a placeholder of batch 1, or a queue's output) is replaced by the batch; a
    `phase_train` switch, which the 2018 FaceNet graphs may have, is set to false.
    Raises ModelFileError when the file is no such graph.
    """
    tf = _tensorflow()
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
        for node in graph.node:
            node.device = ""  # of the machine that trained it
        _open_batch(graph, tf)
        mapped = [node.name for node in graph.node if node.name == "phase_train"]

        def embed(batch: Any) -> Any:
            inputs = {f"{name}:0": tf.constant(False) for name in mapped} | {f"{input_name}:0": batch}
            return tf.graph_util.import_graph_def(graph, inputs, [f"{output_name}:0"], name="")

        batch_spec = tf.TensorSpec((None, input_size, input_size, 3), tf.float32)
        network = _as_network(tf.compat.v1.wrap_function(embed, [batch_spec]), tf)
        # Some of it shows only when it runs: layers that no picture of this size fits, a batch that comes out as one.
        (vectors,) = network(np.zeros((2, input_size, input_size, 3), np.float32))
        if vectors.ndim != 2 or len(vectors) != 2:
            raise ValueError(f"of 2 pictures of {input_size} px it makes {vectors.shape}, not 2 vectors")
    except (ValueError, KeyError, TypeError, tf.errors.OpError, _decode_error()) as error:
        raise ModelFileError(f"{path} is no frozen graph from {input_name} to {output_name}: {error}") from error
    # TensorFlow has copies of its own by now; this one would stay for the life of the daemon.
    graph.Clear()
    return network


def load_tflite(path: Path) -> Network:
    """A TensorFlow Lite network from pictures (n, height, width, 3) to vectors (n, dimension), for any n.

    Whatever batch the file was made for, its pictures are run one by one. A picture takes 3.3 ms alone and 4.5 ms in
    one call for 16, which leaves the processor's caches; filled up to the pair that MobileFaceNet's file was made for,
    it would take 6.3. And its vector is the same in every company, to the last bit. One call runs at a time, since an
    interpreter is one set of buffers.
    Raises ModelFileError when the file is no such network.
    """
    interpreter, source, target = _lite_interpreter(path)
    lock = threading.Lock()

    def one(picture: FloatArray) -> FloatArray:
        interpreter.set_tensor(source["index"], picture[np.newaxis])
        interpreter.invoke()
        vector: FloatArray = interpreter.get_tensor(target["index"])  # a copy
        return vector

    def network(batch: FloatArray) -> tuple[FloatArray, ...]:
        with lock:
            vectors = [one(picture) for picture in np.asarray(batch, dtype=np.float32)]
        return (np.concatenate(vectors) if vectors else np.empty(target["shape"], np.float32)[:0],)

    return network


def release_unused_memory() -> None:
    """Give back what loading took and running does not need, some 0.7 GB, which the C library would keep.

    Worth a call once everything is loaded; where the C library is not glibc it does nothing.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _lite_interpreter(path: Path) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """An interpreter ready for one picture, and the descriptions of its input and its output."""
    tf = _tensorflow()
    try:
        content = bytearray(path.read_bytes())
        _lite(tf, content)  # checks the file, which the next line takes on trust
        _open_lite_batch(content)
        interpreter = _lite(tf, content)
        (source,) = interpreter.get_input_details()
        with _silenced():  # XNNPACK tells that it was made
            interpreter.resize_tensor_input(source["index"], (1, *source["shape"][1:]))
            interpreter.allocate_tensors()
        (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
        shapes = [tuple(side["shape"]) for side in (source, target)]
        if [len(shape) for shape in shapes] != [4, 2] or {shape[0] for shape in shapes} != {1} or shapes[0][3] != 3:
            raise ValueError(f"it makes {shapes[1]} of {shapes[0]}, not a vector of a picture")
        if {source["dtype"], target["dtype"]} != {np.float32}:
            raise ValueError("it does not take and give float32")
    # RuntimeError is TensorFlow Lite's own; the others are what flatbuffers raises for places outside the file.
    except (OSError, ValueError, RuntimeError, TypeError, IndexError, struct.error) as error:
        raise ModelFileError(f"{path} is no TensorFlow Lite network from a picture to a vector: {error}") from error
    return interpreter, source, target


def _lite(tf: Any, content: bytearray) -> Any:
    with warnings.catch_warnings():
        # TensorFlow 2.21, which the lock file fixes, still has it; its successor is one more package.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)
        # With two threads a lone picture takes 1.9 ms instead of 3.1 on idle cores, and 5 where another one is busy.
        return tf.lite.Interpreter(model_content=bytes(content), num_threads=1)


def _open_lite_batch(content: bytearray) -> None:
    """Let a network written for one batch size run any, in place: as _open_batch, for TensorFlow Lite.

    The schema's reader gives views into the content, so the -1 is written where the shape's first side stood.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    batch = graph.Tensors(graph.Inputs(0)).Shape(0)
    for operator in map(graph.Operators, range(graph.OperatorsLength())):
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind != schema.BuiltinOperator.RESHAPE or operator.InputsLength() < 2:
            continue
        constant = model.Buffers(graph.Tensors(operator.Inputs(1)).Buffer())
        if constant.DataLength():
            shape = constant.DataAsNumpy().view("<i4")
            if shape[0] == batch and -1 not in shape:
                shape[0] = -1


def _tensorflow() -> Any:
    with _silenced():
        import tensorflow

    return tensorflow


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the banners that TensorFlow's C++ side prints while it is imported out of the daemon's log.

    They are written before any logging setting is read; what goes wrong still comes as an exception.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError

    return DecodeError  # type: ignore[no-any-return]


def _keras_network(model: Any, weights: Path, shape: tuple[int | None, ...]) -> Network:
    import joblib

    tf = _tensorflow()
    try:
        model.build()
        model.set_weights(joblib.load(weights))
    except (ValueError, EOFError, KeyError, OSError, RuntimeError) as error:
        raise ModelFileError(f"{weights} does not hold the weights of {type(model).__name__}: {error}") from error
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = [tf.TensorSpec(shape, tf.float32)]
    # Constants instead of variables: oneDNN can then keep its reordered weights between calls.
    traced = tf.function(model, input_signature=signature, jit_compile=False).get_concrete_function()
    frozen = convert_variables_to_constants_v2(traced)
    # A frozen function is run as it stands; inside another one it is optimised first: R- and O-Net take half the time.
    return _as_network(tf.function(lambda batch: frozen(batch), input_signature=signature).get_concrete_function(), tf)


def _as_network(function: Callable[[Any], Any], tf: Any) -> Network:
    def network(batch: FloatArray) -> tuple[FloatArray, ...]:
        outputs = function(tf.constant(np.ascontiguousarray(batch, dtype=np.float32)))
        return tuple(output.numpy() for output in outputs)

    return network


def _open_batch(graph: Any, tf: Any) -> None:
    """Let a graph frozen at batch 1 run any batch, in place.

    Such a graph writes its 1 into the constants that say to which shape a layer is reshaped. Where the inferred output
    of a Reshape begins with 1 and its shape is such a constant, -1 in place of the 1 is TensorFlow's word for
    "whatever is left"; every other side must then be stated. Each gets a constant of its own, since several layers may
    share one.
    """
    with tf.Graph().as_default() as probe:
        tf.graph_util.import_graph_def(graph, name="")
    constants = {node.name: node for node in graph.node if node.op == "Const"}
    for node in list(graph.node):
        if node.op != "Reshape" or node.input[1] not in constants:
            continue
        shape = constants[node.input[1]]
        sides = probe.get_tensor_by_name(f"{node.name}:0").shape.as_list()
        if sides[:1] == [1] and None not in sides[1:]:
            own = graph.node.add()
            own.CopyFrom(shape)
            own.name = node.input[1] = f"{node.name}/any_batch"
            tensor = tf.make_tensor_proto([-1, *sides[1:]], dtype=shape.attr["dtype"].type)
            own.attr["value"].tensor.CopyFrom(tensor)
