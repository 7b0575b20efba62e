from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import settings as configured
from hypothesis import strategies as st

from airflow_lakehouse.exceptions import ConfigurationError
from airflow_lakehouse.ocr.textract.cost import price_per_page
from airflow_lakehouse.ocr.textract.ledger import token_of
from airflow_lakehouse.ocr.textract.location import Location
from airflow_lakehouse.ocr.textract.pacing import Window
from airflow_lakehouse.ocr.textract.parameters import FEATURES, Parameters
from airflow_lakehouse.ocr.textract.quotas import quotas_named
from airflow_lakehouse.ocr.textract.settings import Settings

ARNS = {
    "topic_arn": "arn:aws:sns:us-east-1:123456789012:AmazonTextractEnds",
    "role_arn": "arn:aws:iam::123456789012:role/textract",
}


MODEL = botocore.session.get_session().get_service_model("textract")


@configured(deadline=None, max_examples=40)
@given(
    st.sets(st.sampled_from(FEATURES)),
    st.lists(st.text("abc ?", min_size=1, max_size=200), max_size=30, unique=True),
    st.booleans(),
)
def test_whatever_is_taken_textract_takes_too(features: set[str], queries: list[str], more: bool) -> None:
    """What the parameters allow fits the service's own model, queries on all pages."""
    extra: dict[str, Any] = {**ARNS, "output": "s3://bucket/left", "kms_key": "key", "job_tag": "a"} if more else {}
    features = (features - {"QUERIES"}) | ({"QUERIES"} if queries else set())
    parameters = Parameters.of(features=sorted(features), queries=queries, **extra)
    shape = MODEL.operation_model(f"Start{parameters.api}").input_shape
    assert shape is not None
    location = Location("bucket", "key", "etag", "version").request()
    validate_parameters({"DocumentLocation": location, **parameters.request()}, shape)
    assert all(query["Pages"] == ["*"] for query in parameters.request().get("QueriesConfig", {}).get("Queries", ()))


@pytest.mark.parametrize(
    "settings",
    [
        {"features": ["HANDWRITING"]},
        {"features": ["QUERIES"]},
        {"queries": ["x" * 201]},
        {"queries": [f"question {number}" for number in range(31)]},
        {"queries": ["the same", "the same"]},
        {"queries": [{"text": "name?", "pages": ["first"]}]},
        {"queries": [{"question": "name?"}]},
        {"adapters": [{"adapter_id": "a", "version": "1"}]},
        {"output": "file:///left"},
        {"kms_key": "key"},
        {"topic_arn": ARNS["topic_arn"]},
        {"topic_arn": "topic", "role_arn": "role"},
        {"job_tag": "manual__2026-01-15T00:00:00+00:00"},
        {"max_pages": -1},
        {"max_in_flight": 0},
        {"max_failed_fraction": 1.5},
        {"workers": "many"},
        {"dry_run": "perhaps"},
        {"max_pgaes": 3},
    ],
)
def test_what_textract_would_not_take_is_refused_here(settings: dict[str, Any]) -> None:
    """With what is legal, before anything is paid for."""
    with pytest.raises(ConfigurationError):
        Settings.of(settings)


def test_templates_may_render_anything_as_text() -> None:
    """A rendered number, truth or list of features is what it says."""
    settings = Settings.of({"features": "tables, forms", "max_pages": "30", "dry_run": "True", "queue_url": "None"})
    assert settings.parameters.features == ("TABLES", "FORMS")
    assert (settings.options.max_pages, settings.options.dry_run, settings.options.queue_url) == (30, True, "")


def test_the_token_says_everything_that_textract_is_told() -> None:
    """Another location, version, question or salt is another token; the order of features is none."""
    here = Location("bucket", "a.pdf", "etag").as_dict()
    one = Parameters.of(features=["FORMS", "TABLES"])
    tokens = [
        token_of(here, one.api, one.request(), 0),
        token_of({**here, "key": "b.pdf"}, one.api, one.request(), 0),
        token_of({**here, "version_id": "2"}, one.api, one.request(), 0),
        token_of(here, one.api, Parameters.of(features=["FORMS"]).request(), 0),
        token_of(here, one.api, one.request(), 1),
    ]
    assert len(set(tokens)) == 5
    assert all(len(token) == 64 for token in tokens)
    assert token_of(here, one.api, Parameters.of(features=["TABLES", "FORMS"]).request(), 0) == tokens[0]


def test_results_of_another_question_are_kept_apart() -> None:
    """Features, queries and adapters change what is found; where messages go does not."""
    versions = {
        Settings.of(given).version
        for given in (
            {},
            {"features": ["TABLES"]},
            {"queries": ["name?"]},
            {"queries": ["date?"]},
            {"skip_text_layer": True},
        )
    }
    assert len(versions) == 5
    assert Settings.of({"job_tag": "a", **ARNS}).version == Settings.of({}).version


@pytest.mark.parametrize(
    ("settings", "price"),
    [
        ({}, 0.0015),
        ({"features": ["TABLES"]}, 0.015),
        ({"features": ["FORMS", "TABLES"], "queries": ["name?"]}, 0.07),
        ({"queries": ["name?"]}, 0.015),
        ({"features": ["LAYOUT"]}, 0.004),
        ({"features": ["FORMS", "LAYOUT", "SIGNATURES"]}, 0.05),
        ({"price_per_page": 0.002}, 0.002),
    ],
)
def test_the_estimate_follows_the_price_list(settings: dict[str, Any], price: float) -> None:
    """US dollars a page, of the first million."""
    assert price_per_page(Settings.of(settings)) == pytest.approx(price)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=60), st.integers(1, 60))
def test_the_window_stays_between_one_and_the_most(events: list[tuple[bool, int]], most: int) -> None:
    """Whatever the service says, there is always one job, and never more than may be."""
    window = Window(most)
    for is_refusal, in_flight in events:
        if is_refusal:
            before, generation = window.size, window.generation
            window.refused(generation, in_flight)
            window.refused(generation, in_flight)
            assert window.size >= min(before, (in_flight + 1) // 2) // 2
        else:
            window.succeeded()
        assert 1 <= window.size <= most


def test_quotas_are_found_by_their_names_however_these_are_spelled() -> None:
    """Those of one API are not taken for another's."""
    found = {
        "Transactions per second per account for StartDocumentAnalysis asynchronous operations": 10.0,
        "Transactions per second per account for GetDocumentAnalysis asynchronous operations": 25.0,
        "Transactions per second per account for all Start (asynchronous): StartDocumentTextDetection": 5.0,
        "Maximum number of asynchronous jobs per account: StartDocumentAnalysis": 600.0,
    }
    quotas = quotas_named(found, "DocumentAnalysis")
    assert (quotas.in_flight, quotas.start_tps, quotas.get_tps) == (600, 10.0, 25.0)
    assert quotas_named(found, "DocumentTextDetection").start_tps == 5.0
