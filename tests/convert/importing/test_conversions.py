"""Operations of transformers on tensors of a checkpoint, done without reading them."""

import numpy as np
import pytest

from convert.errors import UnsupportedArchitectureError
from convert.importing.conversions import converted
from convert.weights import ArrayWeight, read_float32


def operation(kind, **attributes):
    """What stands for an operation of transformers: a class of its name."""
    return type(kind, (), {"inverse": False, **attributes})()


def weight(name, *shape):
    values = np.random.default_rng(len(name) + sum(map(ord, name))).normal(size=shape)
    return ArrayWeight(name, values.astype(np.float32))


def test_gates_and_ups_of_experts_one_below_the_other():
    gates = [weight(f"e.{number}.w1", 3, 4) for number in range(12)]
    ups = [weight(f"e.{number}.w3", 3, 4) for number in range(12)]
    merge, join = operation("MergeModulelist", dim=0), operation("Concatenate", dim=1)
    # In no order, as files have them: 10 comes before 2.
    sources = {"w1": sorted(gates, key=lambda each: each.name), "w3": ups[::-1]}
    found = converted([merge, join], sources, ["gate_up"], "e.gate_up")
    values = read_float32(found["e.gate_up"])
    expected = [np.concatenate([g.array, u.array]) for g, u in zip(gates, ups, strict=True)]
    np.testing.assert_array_equal(values, np.stack(expected))


def test_one_list_of_experts():
    downs = [weight(f"e.{number}.w2", 3, 4) for number in range(3)]
    merge = operation("MergeModulelist", dim=0)
    found = converted([merge], {"w2": downs}, ["down"], "e.down")
    expected = np.stack([each.array for each in downs])
    np.testing.assert_array_equal(read_float32(found["e.down"]), expected)


def test_tensors_below_each_other_and_in_equal_parts():
    q, k = weight("q", 3, 4), weight("k", 2, 4)
    join = operation("Concatenate", dim=0)
    found = converted([join], {"q": [q], "k": [k]}, ["qk"], "a.qk")
    np.testing.assert_array_equal(read_float32(found["a.qk"]), np.concatenate([q.array, k.array]))
    cut = operation("Chunk", dim=0)
    both = weight("both", 6, 4)
    found = converted([cut], {"both": [both]}, ["gate", "up"], "m.gate.weight")
    np.testing.assert_array_equal(read_float32(found["m.gate.weight"]), both.array[:3])
    np.testing.assert_array_equal(read_float32(found["m.up.weight"]), both.array[3:])


def test_turned_matrices():
    flat, cube = weight("flat", 3, 4), weight("cube", 2, 3, 4)
    turn = operation("Transpose", dim0=0, dim1=1, check_dims=False)
    found = converted([turn], {"flat": [flat]}, ["t"], "t")
    np.testing.assert_array_equal(read_float32(found["t"]), flat.array.T)
    turn = operation("Transpose", dim0=1, dim1=2, check_dims=False)
    found = converted([turn], {"cube": [cube]}, ["t"], "t")
    np.testing.assert_array_equal(read_float32(found["t"]), cube.array.transpose(0, 2, 1))


@pytest.mark.parametrize("inverse", [False, True])
def test_rows_in_turn(inverse):
    cube = weight("cube", 2, 6, 4)
    turn = operation("Interleave", dim=1, inverse=inverse)
    found = converted([turn], {"cube": [cube]}, ["t"], "t")
    shape = (2, 2, 3, 4) if inverse else (2, 3, 2, 4)
    expected = cube.array.reshape(shape).swapaxes(1, 2).reshape(2, 6, 4)
    np.testing.assert_array_equal(read_float32(found["t"]), expected)


@pytest.mark.parametrize(
    ("step", "shapes"),
    [
        (operation("PermuteForRope"), [(3, 4)]),
        (operation("MergeModulelist", dim=1), [(3, 4)]),
        (operation("MergeModulelist", dim=0), [(3, 4), (2, 4)]),
        (operation("Concatenate", dim=1), [(3, 4), (3, 4)]),
        (operation("Chunk", dim=1), [(3, 4)]),
        (operation("Transpose", dim0=0, dim1=2, check_dims=False), [(2, 3, 4)]),
        (operation("Transpose", dim0=0, dim1=1, check_dims=True), [(3, 4)]),
        (operation("Interleave", dim=2), [(2, 3, 4)]),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(step, shapes):
    sources = {"w": [weight(f"w{place}", *shape) for place, shape in enumerate(shapes)]}
    with pytest.raises(UnsupportedArchitectureError, match="not implemented") as refused:
        converted([step], sources, ["t"], "t")
    assert "w0" in str(refused.value.found)
