"""How much a pickle stands for, found without building any of it.

A pickle may use again what it made before, so that a few hundred bytes stand for billions of
values: to compare or to print such a thing takes for ever. Nothing here executes a pickle.
"""

from __future__ import annotations

import pickle
import pickletools

_MOST = 20_000_000
_MARK: list[int] = []
_GROWING = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})


def check_pickle(data: bytes) -> None:
    """Refuse a pickle that stands for more values than any checkpoint has.

    Raises:
        pickle.UnpicklingError: It does.
        ValueError: It is no pickle.
    """
    # Of everything on the stack, how many values it stands for: in a list, as it may grow.
    stack: list[list[int]] = []
    memo: dict[int, list[int]] = {}
    try:
        for op, given, _ in pickletools.genops(data):
            argument = int(given) if isinstance(given, int) else -1
            if op.name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif op.name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif op.name in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif op.name == "DUP":
                stack.append(stack[-1])
            elif op.name == "MARK":
                stack.append(_MARK)
            else:
                _apply(op, stack)
            if stack and stack[-1] and stack[-1][0] > _MOST:
                raise pickle.UnpicklingError("values that hold each other over and over")
    except (IndexError, KeyError) as error:
        raise ValueError("no pickle: its stack is not as it should be") from error


def _apply(op: pickletools.OpcodeInfo, stack: list[list[int]]) -> None:
    """Take what an opcode takes, and push what it makes of it."""
    taken: list[list[int]] = []
    if pickletools.markobject in op.stack_before:
        while (top := stack.pop()) is not _MARK:
            taken.append(top)
    single = [each for each in op.stack_before if each not in _OF_MARKS]
    taken += [stack.pop() for _ in single]
    total = 1 + sum(each[0] for each in taken)
    if not op.stack_after:
        return
    if op.name in _GROWING:
        container = taken[-1]  # it may be in the memo, too
        container[0] = total
        stack.append(container)
    else:
        stack.append([total])


_OF_MARKS = (pickletools.markobject, pickletools.stackslice)
