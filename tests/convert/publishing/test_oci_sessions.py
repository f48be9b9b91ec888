import stat

from convert.cache_folder import cache_folder
from convert.publishing.destination import OciReference
from convert.publishing.oci_sessions import UploadSessions

PLACE = OciReference("registry.example", "org/tiny", "v1")


def test_an_upload_is_remembered_until_it_ends():
    sessions = UploadSessions(PLACE)
    assert sessions.get("sha256:1") is None
    sessions.put("sha256:1", "https://registry.example/upload?_state=x")
    assert UploadSessions(PLACE).get("sha256:1") == "https://registry.example/upload?_state=x"
    assert sessions.get("sha256:2") is None
    assert UploadSessions(OciReference("registry.example", "other", "v1")).get("sha256:1") is None
    sessions.drop("sha256:1")
    sessions.drop("sha256:1")
    assert sessions.get("sha256:1") is None


def test_nobody_else_may_read_it():
    UploadSessions(PLACE).put("sha256:1", "https://registry.example/upload")
    (path,) = (cache_folder() / "uploads").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_cache_that_cannot_be_written_is_none(nobody, monkeypatch):
    (nobody / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(nobody / "file"))
    sessions = UploadSessions(PLACE)
    sessions.put("sha256:1", "x")
    sessions.drop("sha256:1")
    assert sessions.get("sha256:1") is None
