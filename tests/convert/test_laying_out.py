"""A model is laid out whole, or as parts; what devices cannot hold is refused."""

import pytest

from convert.errors import DoesNotFitError
from convert.laying_out import lay_out, require_fit


class Deployment:
    def require_fit(self):
        raise DoesNotFitError("too large")


class FakeTarget:
    def __init__(self, deployment=None):
        self.deployment = deployment

    def plan_deployment(self, config, model, options):
        return self.deployment

    def lay_out(self, request):
        return "whole", request


class Request:
    source = type("Source", (), {"config": None})
    model = None
    options = None


def test_a_model_without_parts_is_laid_out_whole():
    request = Request()
    assert lay_out(FakeTarget(), request, []) == ("whole", request)


def test_what_the_devices_cannot_hold_is_refused():
    require_fit(FakeTarget(), Request())
    with pytest.raises(DoesNotFitError):
        require_fit(FakeTarget(Deployment()), Request())
