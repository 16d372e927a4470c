"""What a training carries from one epoch to the next, apart from the parameters of its modules."""

import time
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from magail_trainer.errors import InputError

State = Mapping[str, Tensor]


@runtime_checkable
class Stateful(Protocol):
    """Something whose state can be saved as tensors and loaded again."""

    def state_dict(self) -> dict[str, Tensor]:
        """Its state, by name."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from a state that `state_dict` returned."""
        ...


Part = TypeVar("Part")


class Parameters:
    """The parameters of something that is no module, by number."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._parameters = list(parameters)

    def state_dict(self) -> dict[str, Tensor]:
        """See `Stateful`."""
        return {str(number): parameter.detach() for number, parameter in enumerate(self._parameters)}

    def load_state_dict(self, state: State) -> None:
        """See `Stateful`."""
        copy_into(self.state_dict(), state)


def copy_into(tensors: Mapping[str, Tensor], state: State) -> None:
    """Set tensors to saved ones of the same names, shapes and types.

    Raises:
        ValueError: one is missing, or has another shape or type.
    """
    for name, tensor in tensors.items():
        saved = state.get(name)
        if saved is None or saved.shape != tensor.shape or saved.dtype != tensor.dtype:
            raise ValueError(f"{name} is missing or of another shape or type")
        tensor.copy_(saved)


class TrainingState:
    """How far a training has come, and its parts that change: optimisers, random streams, running scales.

    A part joins when it is made. In a training that goes on from a checkpoint, it then takes up its saved state.
    """

    def __init__(self) -> None:
        self.epoch = 0
        """Epochs that are done."""
        self.updates = 0
        """Cloning updates that are done, alone or as a warm start."""
        self._began = time.process_time()
        self._parts: dict[str, Stateful] = {}
        self._saved: Mapping[str, State] = {}

    @property
    def resumed(self) -> bool:
        """Whether the training goes on from a checkpoint."""
        return bool(self._saved)

    @property
    def cpu_seconds(self) -> float:
        """What the training has taken until now, all its parts together."""
        return time.process_time() - self._began

    def join(self, name: str, part: Part) -> Part:
        """Keep a part under a name of its own and return it; what has no state is returned as it is."""
        if isinstance(part, Stateful):
            if name in self._saved or self.epoch > 0:  # after a warm start alone, some parts were not made yet
                self._load(name, part)
            self._parts[name] = part
        return part

    def _load(self, name: str, part: Stateful) -> None:
        try:
            part.load_state_dict(self._saved[name])
        except (KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
            raise InputError(
                f"The {name.replace('_', ' ')} of the checkpoint does not fit its training: {error}."
            ) from error

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Everything, by part and name."""
        progress = {name: torch.tensor(getattr(self, name)) for name in ("epoch", "updates", "cpu_seconds")}
        # Nothing of ours uses torch's own random state, but a user's network may (dropout).
        own = {"progress": progress, "random": {"torch": torch.get_rng_state()}}
        return {**own, **{name: part.state_dict() for name, part in self._parts.items()}}

    def load_state_dict(self, state: Mapping[str, State]) -> None:
        """Go on from what `state_dict` returned; call it before the training starts.

        Raises:
            InputError: it lacks something.
        """
        try:
            progress = state["progress"]
            self.epoch, self.updates = int(progress["epoch"]), int(progress["updates"])
            self._began = time.process_time() - float(progress["cpu_seconds"])
            torch.set_rng_state(state["random"]["torch"].cpu())
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise InputError(f"The checkpoint does not say how far its training had come: {error}.") from error
        self._saved = state
