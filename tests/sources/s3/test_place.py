"""Which objects of which bucket a URI names."""

import pytest

from config.settings import StoreSettings
from sources.s3.objects import ObjectSource
from sources.s3.place import NotAPlace


@pytest.mark.parametrize(
    "uris",
    [
        ["s3://one/a", "s3://other/a"],
        ["s3://one/a?profile=x", "s3://one/b"],
        ["s3://one/a?lock=governance&retention=1d"],
        ["s3://one/a?class=STANDARD_IA"],
        ["s3://One/a"],
        ["s3://one/a#b"],
        ["s3://one/a?secret=b"],
        ["/one/a"],
    ],
)
def test_uris_that_name_no_objects_are_refused(uris: list[str]):
    with pytest.raises(NotAPlace):
        ObjectSource(uris, StoreSettings())
