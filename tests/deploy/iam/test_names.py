"""What differs between installations: only names of the right form get into a policy."""

from dataclasses import fields, replace

import pytest

from deploy.iam.names import REQUIRED, Names

GOOD = Names()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("service_account", "11112222333"),
        ("service_account", "1111222233334"),
        ("service_account", "*"),
        ("customer_account", ""),
        ("customer_account", "444455556666\n"),
        ("tenant", "0" * 31),
        ("tenant", "A" * 32),
        ("tenant", "*" * 32),
        ("repository_prefix", "no-slash"),
        ("repository_prefix", "/"),
        ("repository_prefix", "/a/"),
        ("delivery_prefix", "parcels"),
        ("cmk_arns", ("*",)),
        ("cmk_arns", (*GOOD.cmk_arns, "arn:aws:kms:eu-central-1:444455556666:alias/mine")),
        ("cmk_arns", ("arn:aws:s3:::bucket",)),
        ("old_cmk_arns", ("",)),
    ],
)
def test_what_is_none_is_refused_with_its_field_and_the_form(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: .* is not of the form"):
        replace(GOOD, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repository_prefix", ""),
        ("repository_prefix", "a/b/"),
        ("repository_prefix", "*/"),
        ("cmk_arns", ()),
        ("cmk_arns", ("arn:aws-cn:kms:cn-north-1:444455556666:key/mrk-1",)),
    ],
)
def test_what_is_one_is_taken(field: str, value: object) -> None:
    assert getattr(replace(GOOD, **{field: value}), field) == value  # type: ignore[arg-type]


def test_what_has_to_be_given_are_names_that_there_are() -> None:
    assert set(REQUIRED) <= {field.name for field in fields(Names)}
