from __future__ import annotations

from dataclasses import replace

import pytest

from convert.errors import UnavailableWorkersError
from convert.fleet.agreement import of_this_process


def test_a_process_agrees_with_itself():
    agreement = of_this_process()
    agreement.require_versions()
    agreement.require_arithmetic()


def test_another_version_is_refused_by_name():
    own = of_this_process()
    other = replace(own, versions={**own.versions, "numpy": "1.0"})
    with pytest.raises(UnavailableWorkersError) as caught:
        other.require_versions()
    assert caught.value.expected == "numpy 1.0"
    assert caught.value.found == f"numpy {own.versions['numpy']}"


def test_another_processor_is_refused():
    with pytest.raises(UnavailableWorkersError, match="multiplies otherwise"):
        replace(of_this_process(), arithmetic="another").require_arithmetic()
