"""Saved models: safetensors, with what is needed to rebuild the model in the header.

A file holds each tensor of the model by its name, and the optimizer's slots beside them
as ``slot:<slot>/<tensor>``, so that a training can go on from it. There is no code and
no pickle in it: reading a file from a stranger runs nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from app.datasets.schema import Schema
from app.errors import ModelError
from app.layout import TensorSpec, Vector, views
from app.models.model import Model
from app.models.registry import build_model
from app.settings import ModelSettings

FORMAT = "distbelief-2"


@dataclass(frozen=True)
class SavedModel:
    """A trained model. ``parameters`` and each slot are flat vectors of shape (D,).

    ``facts`` is JSON about the training: data, split, seed, held-out score.
    """

    settings: ModelSettings
    schema: Schema
    parameters: Vector
    slots: Mapping[str, Vector] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Model:
        """The model that the parameters belong to; raises ModelError."""
        return build_model(self.settings, self.schema)

    def save(self, path: Path) -> None:
        """Write the file in one step: a reader sees the old file or the new, never half.

        Raises:
            ModelError: it cannot be written.
        """
        tensors = self.build().tensors
        arrays = dict(_named("", self.parameters, tensors))
        for name, slot in self.slots.items():
            arrays |= _named(f"slot:{name}/", slot, tensors)
        header = {
            "format": FORMAT,
            "model": self.settings.model_dump_json(),
            "schema": json.dumps(self.schema.to_json()),
            "facts": json.dumps(self.facts),
        }
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(arrays, partial, header)
            partial.replace(path)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"cannot write {path}: {error}") from error
        finally:
            with contextlib.suppress(OSError):  # nothing there, or nowhere to be
                partial.unlink()


def load_model(path: Path) -> SavedModel:
    """Read a file that :meth:`SavedModel.save` wrote.

    Raises:
        ModelError: missing or damaged file, another format, or tensors that do not fit.
    """
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise ModelError(
                    f"{path} is not a model of this program: its format is "
                    f"{header.get('format')}, expected {FORMAT}"
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _rebuild(header, arrays, path)
    except (SafetensorError, OSError, KeyError, ValueError, ValidationError) as error:
        raise ModelError(f"{path} is damaged or no safetensors file: {error}") from error


def _rebuild(header: Mapping[str, str], arrays: Mapping[str, Any], path: Path) -> SavedModel:
    settings = ModelSettings.model_validate_json(header["model"])
    schema = Schema.from_json(json.loads(header["schema"]))
    tensors = build_model(settings, schema).tensors
    slots = {name.split(":")[1].split("/")[0] for name in arrays if name.startswith("slot:")}
    for tensor in tensors:
        if tensor.name not in arrays or arrays[tensor.name].shape != tensor.shape:
            raise ModelError(f"{path}: tensor {tensor.name} is missing or not {tensor.shape}")
        if arrays[tensor.name].dtype not in (np.float32, np.float64):
            raise ModelError(f"{path}: tensor {tensor.name} is not of floating-point numbers")
    facts = json.loads(header["facts"])
    if not isinstance(facts, dict):
        raise ValueError("its facts are no JSON object")
    return SavedModel(
        settings,
        schema,
        _flat("", arrays, tensors),
        {slot: _flat(f"slot:{slot}/", arrays, tensors) for slot in sorted(slots)},
        facts,
    )


def _named(prefix: str, vector: Vector, tensors: tuple[TensorSpec, ...]) -> dict[str, Vector]:
    pairs = zip(tensors, views(np.ascontiguousarray(vector), tensors), strict=True)
    return {prefix + tensor.name: view for tensor, view in pairs}


def _flat(prefix: str, arrays: Mapping[str, Any], tensors: tuple[TensorSpec, ...]) -> Vector:
    return np.concatenate([arrays[prefix + tensor.name].ravel() for tensor in tensors])
