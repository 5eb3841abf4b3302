"""A torch module that computes on flat vectors of parameters: see
:mod:`distbelief.app.models.torch`.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import TensorSpec, Vector
from distbelief.app.models.imports import named
from distbelief.app.models.model import Features, Targets
from distbelief.app.models.torch_inputs import arguments, as_tensor, trial
from distbelief.app.models.torch_rows import Ids, cut, only, sparse_rows
from distbelief.app.models.torch_state import state, statistics

#: Of outputs (n,) or (n, n_classes) and targets (n,), which are int64 for the latter and
#: else of the outputs' type: the mean over the examples, a scalar.
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Numbers:
    """A flat vector of the ``tensors``; ``rows`` are those of the sparse ones, None for all."""

    vector: Vector
    tensors: Sequence[TensorSpec]
    rows: Sequence[Ids] | None


class Network:
    """The module, made once and shared by all threads: one call at a time.

    Between calls its parameters are empty, so that it holds none of the callers' memory.
    ``n_outputs`` is None for outputs of shape (n,).

    Raises:
        ModelError: the module cannot be made, or does not work on a trial input.
    """

    def __init__(self, path: str, make: Callable[[], Any], schema: Schema) -> None:
        self._path = path
        self._make = make
        self._schema = schema
        self._lock = threading.Lock()
        module, n_outputs = self._made(0)
        self._module = module
        self.n_outputs = n_outputs
        self._sparse = sparse_rows(self._module, dense_data=not schema.sparse)
        of_rows = {rows.name for rows in self._sparse}
        self._statistics = statistics(self._module)
        parameters, buffers = state(self._module, self._statistics)
        self._parameters = list(parameters.values())
        self._buffers = list(buffers.values())
        specs = [_spec(name, value, name in of_rows) for name, value in parameters.items()]
        specs += [TensorSpec(n, tuple(b.shape), penalised=False) for n, b in buffers.items()]
        self.tensors = tuple(specs)
        self.n_statistics: int = sum(buffer.numel() for buffer in buffers.values())
        self._let_go()

    def initial(self, seed: int) -> Vector:
        """Numbers that a newly made module holds: float64, flat, in the order of ``tensors``."""
        parameters, buffers = state(self._made(seed)[0], self._statistics)
        parts = [t.detach().double().flatten() for t in (*parameters.values(), *buffers.values())]
        flat: Vector = torch.cat(parts).numpy()
        return flat

    def touched(self, features: Features) -> list[tuple[Ids, Ids]]:
        """For each sparse tensor the rows that ``features`` touch, and how often."""
        with self._lock, torch.no_grad(), only(self._sparse, None):
            self._module.eval()  # in which batch norm takes a single example
            parameter = self._parameters[0]
            tensors = cut(self.tensors, [_NO_ROWS] * len(self._sparse))
            size = sum(tensor.size for tensor in tensors)
            try:
                self._hold(parameter.new_zeros(size), tensors)
                self._forward(features, parameter)
                return [rows.touched() for rows in self._sparse]
            finally:
                self._let_go()

    def loss_and_gradient(
        self, numbers: Numbers, features: Features, targets: Targets, loss: Loss, gradient: Vector
    ) -> float:
        with self._holding(numbers) as flat, self._drawing_from(features, targets):
            ours = torch.from_numpy(gradient).zero_()
            there = ours if ours.device == flat.device else torch.zeros_like(flat)
            views = _views(there, numbers.tensors)
            for parameter, view in zip(self._parameters, views, strict=False):  # then buffers
                parameter.grad = view  # backward adds to it
            self._module.train()
            outputs = self._forward(features, flat)
            value = self._answer(lambda: loss(outputs, as_tensor(targets).to(self._device)))
            self._answer(value.backward)
            ours.copy_(there)
            return float(value.detach())

    def loss(self, numbers: Numbers, features: Features, targets: Targets, loss: Loss) -> float:
        """The loss of what the module gives when it predicts."""
        with self._holding(numbers) as flat, torch.no_grad():
            self._module.eval()
            outputs = self._forward(features, flat)
            return float(self._answer(lambda: loss(outputs, as_tensor(targets).to(self._device))))

    def outputs(self, numbers: Numbers, features: Features) -> torch.Tensor:
        """Outputs of the module when it predicts."""
        with self._holding(numbers) as flat, torch.no_grad():
            self._module.eval()
            return self._forward(features, flat)

    def statistics(self, numbers: Numbers, features: Features) -> Vector:
        """The buffers after these examples alone: shape (n_statistics,)."""
        with self._holding(numbers) as flat, torch.no_grad(), self._drawing_from(features):
            norms = [each for each in self._module.modules() if isinstance(each, _NormBase)]
            momenta = [norm.momentum for norm in norms]
            for norm in norms:
                norm.momentum = 1.0  # nothing of what was before
            try:
                self._module.train()
                self._forward(features, flat)
            finally:
                for norm, momentum in zip(norms, momenta, strict=True):
                    norm.momentum = momentum
            values: Vector = torch.cat([b.flatten() for b in self._buffers]).cpu().numpy()
            return values

    def state_dict(self, vector: Vector) -> dict[str, torch.Tensor]:
        """All that ``load_state_dict`` wants of a module that the factory makes, on the CPU.

        Tied weights come under each of their names, and buffers that are no statistics as the
        factory makes them.
        """
        module, _ = self._made(0)
        parameters, buffers = state(module, self._statistics)
        views = _views(as_tensor(vector), self.tensors)
        with torch.no_grad():
            for tensor, view in zip((*parameters.values(), *buffers.values()), views, strict=True):
                tensor.copy_(view)
        return {name: value.detach() for name, value in module.state_dict().items()}

    @property
    def approximate_gradient(self) -> bool:
        return bool(getattr(self._module, "approximate_gradient", False))

    @contextmanager
    def on_cpu(self) -> Iterator[None]:
        """Compute on the CPU meanwhile, in one thread: no GPU is set up for a few examples."""
        known, threads = vars(self).get("_device"), torch.get_num_threads()
        vars(self)["_device"] = torch.device("cpu")
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            del vars(self)["_device"]
            if known is not None:
                vars(self)["_device"] = known

    @cached_property
    def _device(self) -> torch.device:
        # Not before the first call: a coordinator, which only tries a few examples, needs no GPU.
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _made(self, seed: int) -> tuple[nn.Module, int | None]:
        """A new module, a function of the seed, and the width of its outputs."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(seed)
            try:
                module = self._make()
            except Exception as error:  # whatever a user's own code raises
                raise self._failed("cannot be made", error) from error
            if not isinstance(module, nn.Module):
                raise ModelError(f'"{self._path}" must return a torch.nn.Module, got {module!r}')
            parameter = next(module.cpu().parameters(), None)
            if parameter is None:
                raise ModelError(f'module "{self._path}" has no parameters')
            inputs = trial(self._schema, parameter.dtype)
            outputs = self._answer(lambda: module.eval()(*inputs))
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else None
        if shape is None or len(shape) not in (1, 2) or shape[0] != 2:
            raise ModelError(
                f'module "{self._path}" must give a tensor of shape (n,) or (n, n_outputs), '
                f"got {shape or type(outputs).__name__} for two examples"
            )
        return module, shape[1] if len(shape) == 2 else None

    def _forward(self, features: Features, like: torch.Tensor) -> torch.Tensor:
        """Outputs (n,), also if the module gives (n, 1), or (n, n_outputs)."""
        inputs = [x.to(like.device) for x in arguments(features, self._schema, like.dtype)]
        outputs: torch.Tensor = self._answer(lambda: self._module(*inputs))
        return outputs[:, 0] if self.n_outputs == 1 else outputs

    def _answer(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except ModelError:
            raise
        except Exception as error:  # whatever a user's own code raises
            raise self._failed("failed", error) from error

    def _failed(self, how: str, error: Exception) -> ModelError:
        return ModelError(f'module "{self._path}" {how}: {named(error)}')

    @contextmanager
    def _holding(self, numbers: Numbers) -> Iterator[torch.Tensor]:
        """The module computes on ``numbers``; gives the flat vector where it computes."""
        with self._lock:
            flat = as_tensor(numbers.vector).to(self._device)
            self._move(flat)
            rows = nullcontext() if numbers.rows is None else only(self._sparse, numbers.rows)
            try:
                self._hold(flat, numbers.tensors)
                with rows:
                    yield flat
            finally:
                self._let_go()

    def _move(self, like: torch.Tensor) -> None:
        """Bring the module to where ``like`` is, and to its type."""
        now = self._parameters[0]
        if (now.device, now.dtype) != (like.device, like.dtype):
            self._module.to(like.device, like.dtype)
            parameters, buffers = state(self._module, self._statistics)
            self._parameters = list(parameters.values())
            self._buffers = list(buffers.values())
            for rows in self._sparse:
                rows.weight = parameters[rows.name]

    def _hold(self, flat: torch.Tensor, tensors: Sequence[TensorSpec]) -> None:
        views = iter(_views(flat, tensors))
        for parameter in self._parameters:
            parameter.data = next(views)
        for buffer in self._buffers:
            buffer.copy_(next(views))  # a copy: training must not change the caller's

    def _let_go(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
            parameter.data = parameter.data.new_empty(0)

    @contextmanager
    def _drawing_from(self, features: Any, targets: Targets | None = None) -> Iterator[None]:
        """Random numbers come from the examples, and the process's own stay as they were."""
        arrays = [features.indices, features.data] if self._schema.sparse else [features]
        seed = 0
        for array in (*arrays, *([] if targets is None else [targets])):
            seed = zlib.crc32(np.ascontiguousarray(array).data, seed)
        on_gpu = self._device.type == "cuda"
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
            torch.default_generator.manual_seed(seed)
            if on_gpu:
                torch.cuda.manual_seed(seed)
            yield


_NO_ROWS = np.empty(0, np.int64)


def _spec(name: str, parameter: nn.Parameter, sparse: bool) -> TensorSpec:
    if not parameter.is_floating_point():
        raise ModelError(f"the parameter {name} must be of real numbers, got {parameter.dtype}")
    penalised = parameter.requires_grad and parameter.ndim > 1
    return TensorSpec(name, tuple(parameter.shape), penalised, sparse)


def _views(flat: torch.Tensor, tensors: Sequence[TensorSpec]) -> list[torch.Tensor]:
    parts = flat.split([tensor.size for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
