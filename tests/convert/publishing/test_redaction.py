import io
import logging

from convert.publishing.redaction import Redactor, clean_logs


def test_a_secret_is_replaced_wherever_it_stands():
    redactor = Redactor()
    redactor.hide("s3cret-token")
    redactor.hide("s3cret")
    assert redactor.clean("a s3cret-token and s3cret") == "a *** and ***"


def test_what_looks_like_a_secret_is_replaced_without_being_known():
    clean = Redactor().clean
    assert "abc" not in clean("https://me:abc@host/x")
    assert clean("https://host/x?X-Amz-Signature=abc&b=1 end") == "https://host/x?*** end"
    assert clean("Authorization: Bearer abcdefghij") == "Authorization: Bearer ***"
    assert clean("hf_abcdefghijkl") == "hf_***"


def test_what_is_no_secret_stays():
    text = "status 404 BLOB_UNKNOWN: is it there? basic facts: yes"
    redactor = Redactor()
    redactor.hide("")
    redactor.hide(None)
    redactor.hide("is")
    assert redactor.clean(text) == text


def test_logs_of_libraries_are_cleaned_while_it_lasts(caplog):
    redactor = Redactor()
    redactor.hide("s3cret")
    logger = logging.getLogger("huggingface_hub.some.module")
    with clean_logs(redactor):
        logger.warning("with %s", "s3cret")
    logger.warning("later s3cret")
    assert [record.getMessage() for record in caplog.records] == ["with ***", "later s3cret"]


def test_a_logger_of_a_library_that_is_loaded_later_is_cleaned_too():
    redactor, written = Redactor(), io.StringIO()
    redactor.hide("s3cret")
    with clean_logs(redactor):
        logger = logging.getLogger("a.library.loaded.later")
        logger.propagate = False
        logger.addHandler(logging.StreamHandler(written))
        try:
            raise ValueError("about s3cret")
        except ValueError:
            logger.exception("it was %s", "s3cret")
    assert "s3cret" not in written.getvalue()
    assert "ValueError: about ***" in written.getvalue()
