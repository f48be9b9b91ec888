"""What mixes tokens is refused by its name; what does not is not."""

import pytest

from convert.errors import UnsupportedArchitectureError
from convert.importing.raising.tidying import Tidy
from convert.importing.tokens_apart import require_tokens_apart
from tests.support.imported import formula
from tests.support.models import small_model


def looked_at(function):
    model, _ = formula(function)
    Tidy()(model)
    require_tokens_apart(model)


def dealt(x, back):
    """Tokens in another order, and back again if so wished."""
    rows = x.flatten(0, 1)
    order = rows[:, 0].argsort(stable=True)
    y = rows[order] * 2
    return y[order.argsort(stable=True) if back else order].reshape(x.shape)


MIXING = {
    "CumSum": lambda x, positions: x.cumsum(1),
    "ReduceMean": lambda x, positions: x - x.mean(1, keepdim=True),
    "Concat": lambda x, positions: x.roll(1, 1),
    "MatMul": lambda x, positions: x.transpose(1, 2) @ x,
    "Mul": lambda x, positions: (x[:, None] * x[:, :, None]).sum(1),
    "Softmax": lambda x, positions: x.softmax(1),
    "Gather": lambda x, positions: dealt(x, back=False),
    "Reshape": lambda x, positions: (x.reshape(3, -1, 4) * 2).reshape(x.shape),
    "ReduceMax": lambda x, positions: x * x.amax(),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MIXING)
def test_what_mixes_tokens(kind):
    with pytest.raises(UnsupportedArchitectureError, match="mixes tokens") as refused:
        looked_at(MIXING[kind])
    assert kind in refused.value.found or kind == "Concat"


def test_a_shift_by_one_token():
    with pytest.raises(UnsupportedArchitectureError, match="mixes tokens"):
        looked_at(MIXING["Concat"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "function",
    [
        lambda x, positions: x.softmax(-1) @ x.new_ones(12, 12) + x.sum(-1, keepdim=True),
        lambda x, positions: dealt(x, back=True),
        lambda x, positions: x.reshape(-1, 3, 4).transpose(1, 2).reshape(x.shape),
        lambda x, positions: x * (positions[..., None] > 1),
        lambda x, positions: x.topk(2, dim=-1).values.repeat(1, 1, 6),
        lambda x, positions: x.unsqueeze(2).expand(-1, -1, 3, -1).sum(2),
    ],
)
def test_what_keeps_them_apart(function):
    looked_at(function)


@pytest.mark.parametrize("family", ["llama", "mistral", "bloom"])
def test_hand_written_families(family):
    require_tokens_apart(small_model(family).graph())
