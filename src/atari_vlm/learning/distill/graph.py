"""A builder of ONNX graphs whose weights stay in the checkpoint's own file.

A graph holds no weights. It refers to their offsets in model.safetensors, so that transformers and
onnxruntime read the same numbers and a checkpoint takes half the space.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        with (folder / WEIGHTS).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        self._tensors = {name: row for name, row in header.items() if name != "__metadata__"}
        self._data_start = 8 + length
        self._initializers: dict[str, Any] = {}
        self._nodes: list[Any] = []

    def __contains__(self, weight: str) -> bool:
        """Whether the checkpoint has a weight of this name."""
        return weight in self._tensors

    def weight(self, name: str) -> str:
        """A weight of the checkpoint, with its name and shape in transformers.

        Raises:
            ValueError: the weight is not stored as F32.
        """
        import onnx

        row = self._tensors[name]
        if row["dtype"] != "F32":
            raise ValueError(f"{name} is stored as {row['dtype']}; only F32 can be exported.")
        first, after = row["data_offsets"]
        place = {"location": WEIGHTS, "offset": self._data_start + first, "length": after - first}
        tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=row["shape"])
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
        part = path.with_suffix(".part")
        part.write_bytes(model.SerializeToString())
        onnx.checker.check_model(str(part))
        part.replace(path)
