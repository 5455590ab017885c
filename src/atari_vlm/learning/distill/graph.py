"""A builder of ONNX graphs whose weights stay in the checkpoint's own file.

A graph holds no weights. It refers to their offsets in model.safetensors, so that transformers and
onnxruntime read the same numbers and a checkpoint takes half the space.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atari_vlm.errors import ModelUnusable
from atari_vlm.files.tensors import not_finite, read_header
from atari_vlm.files.writing import drafted

WEIGHTS = "model.safetensors"
OPSET = 23
"""The first opset with attention, rotary embedding and RMS norm as one node each."""
IR_VERSION = 11

Named = Mapping[str, tuple[Any, Sequence[int | str]]]
"""Inputs or outputs: name -> (numpy type, shape); a string is a dynamic dimension."""


class Graph:
    """A graph under construction.

    Args:
        folder: the checkpoint with the model.safetensors that the graph refers to.
        name: of the graph, inside its file.

    Raises:
        ModelUnusable: the weights are damaged, or not finite.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._name, path = name, folder / WEIGHTS
        try:
            self._tensors = read_header(path)
            if other := not_finite(path, self._tensors):
                raise ValueError(f"its tensor {other} holds numbers that are not finite")
        except (OSError, ValueError) as error:
            raise ModelUnusable(f"{path} cannot be exported: {error}.") from error
        self._initializers: dict[str, Any] = {}
        self._nodes: list[Any] = []

    def __contains__(self, weight: str) -> bool:
        """Whether the checkpoint has a weight of this name."""
        return weight in self._tensors

    def weight(self, name: str) -> str:
        """A weight of the checkpoint, with its name and shape in transformers.

        Raises:
            ModelUnusable: the weight is missing, or not stored as F32.
        """
        import onnx

        row = self._tensors.get(name)
        if row is None or row.dtype != "F32":
            raise ModelUnusable(
                f"{WEIGHTS} has no F32 tensor {name}, which the exported graph needs. Train the "
                "model again: atari-vlm distill --out FOLDER."
            )
        place = {"location": WEIGHTS, "offset": row.first, "length": row.after - row.first}
        tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=row.shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self._initializers[name] = tensor
        return name

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """A number or an array stored in the graph; returns its name."""
        from onnx import numpy_helper

        array = np.asarray(value, dtype)
        name = f"constant_{len(self._initializers)}"
        self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; returns the name of the output.

        Args:
            kind: ONNX operator.
            inputs: names of its inputs.
            attributes: of the operator; `name` sets the name of the output.
        """
        name = str(attributes.pop("name", f"{kind}_{len(self._nodes)}"))
        self._append(kind, inputs, (name,), attributes)
        return name

    def cast(self, x: str, dtype: Any) -> str:
        """Add a cast to another numpy type."""
        from onnx import helper

        return self.add("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def split(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs; returns their names."""
        names = [f"{kind}_{len(self._nodes)}_{number}" for number in range(outputs)]
        self._append(kind, inputs, names, attributes)
        return names

    def _append(
        self, kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: dict[str, Any]
    ) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, list(inputs), list(outputs), **attributes))

    def write(self, path: Path, inputs: Named, outputs: Named) -> None:
        """Write the graph, whole or not at all."""
        import onnx
        from onnx import helper

        def described(named: Named) -> list[Any]:
            kind = helper.np_dtype_to_tensor_dtype
            return [
                helper.make_tensor_value_info(name, kind(np.dtype(dtype)), list(shape))
                for name, (dtype, shape) in named.items()
            ]

        graph = helper.make_graph(
            self._nodes,
            self._name,
            described(inputs),
            described(outputs),
            list(self._initializers.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="atari-vlm",
        )
        with drafted(path) as draft:
            draft.write_bytes(model.SerializeToString())
            onnx.checker.check_model(str(draft))
