from __future__ import annotations

import sys

import pytest

from convert.errors import UnavailableWorkersError, UsageError
from convert.fleet import cluster as module
from convert.fleet.address import Address
from convert.fleet.cluster import Cluster


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="--on ray needs") as caught:
        Cluster(Address(None), 1)
    assert "tricast[ray]" in caught.value.remedy


def test_an_address_without_a_cluster_is_refused():
    with pytest.raises(UnavailableWorkersError, match="no cluster at ray"):
        Cluster(Address("ray://127.0.0.1:9"), 1)


def test_a_cluster_without_machines_is_given_up(monkeypatch):
    class Empty:
        def wait(self, waiting, num_returns, timeout):
            return [], waiting

        def cluster_resources(self):
            return {}

    monkeypatch.setattr(module, "_PATIENCE", -1.0)
    cluster = object.__new__(Cluster)
    cluster._ray, cluster._seen_alive = Empty(), 0.0
    with pytest.raises(UnavailableWorkersError, match="no machine"):
        cluster.ready(["a task"])
