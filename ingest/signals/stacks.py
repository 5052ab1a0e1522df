"""States of single wearables, and stacks of them: seconds of many wearables are analysed as one array.

Wearables come at their own times and rates. Each keeps a state of one row; those whose next second is there are
stacked, advanced together and taken apart again. What a row becomes does not depend on who else is in the stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, TypeVar

import numpy as np

from ingest.signals.optical import OpticalState

State = TypeVar("State")


def stacked(states: Sequence[State]) -> State:
    """One state with the rows of all, in order; they are of one kind, rate and number of channels."""
    stack = copy(states[0])
    for name, first in vars(stack).items():
        parts = [getattr(state, name) for state in states]
        setattr(stack, name, _joined(first, parts))
    return stack


def row_of(stack: State, row: int) -> State:
    """The state of one row, which shares nothing with the stack."""
    state = copy(stack)
    for name, value in vars(stack).items():
        setattr(state, name, _row(value, row))
    return state


def rebase(state: OpticalState) -> None:
    """Let the present be 0 on the state's clock: rows that began at different times can then be stacked."""
    now_s = state.beats.now_s
    state.beats.at_s = state.beats.at_s - now_s
    state.beats.last_s = state.beats.last_s - now_s
    state.beats.samples = 0


def _joined(first: Any, parts: Sequence[Any]) -> Any:
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    return first if isinstance(first, int | float) else stacked(parts)


def _row(value: Any, row: int) -> Any:
    if isinstance(value, np.ndarray):
        return value[row : row + 1].copy()
    return value if isinstance(value, int | float) else row_of(value, row)
