"""
Whether a VAT id can be one at all: form and check digits, offline, by python-stdnum.

That somebody holds it today only a tax authority can say; such an answer is recorded beside this one, see `service`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

from stdnum.ch import vat as swiss
from stdnum.eu import vat as european
from stdnum.exceptions import ValidationError
from stdnum.gb import vat as british
from stdnum.no import mva as norwegian

METHOD = f"syntax, python-stdnum {version('python-stdnum')}"
_PREFIX_OF = {"GR": "EL", "MC": "FR"}  # Greece writes EL; Monaco is inside the French system.
_COUNTRY_OF = {"EL": "GR", "XI": "GB"}  # Services from Northern Ireland are British; only its goods are European.
_EUROPEAN = {name.upper() for name in european.MEMBER_STATES} | {"EL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VatId:
    """A VAT id that may be one."""

    text: str  # Compact, with its prefix.
    country: str  # ISO 3166-1 alpha-2, so GR for EL.


def read_vat_id(text: str, *, country: str | None = None) -> VatId:
    """
    *text* as a VAT id; where it has no prefix, *country* says whose it is.

    Raises ValueError saying what is wrong: an unknown country, the form, or the check digits.
    """
    compact = "".join(c for c in text.upper() if c.isalnum())
    prefix = compact[:2] if compact[:2].isalpha() else _PREFIX_OF.get(country or "", country or "")
    number = compact.removeprefix(prefix)
    try:
        if prefix in ("GB", "XI"):
            checked = f"{prefix}{british.validate(number)}"
        elif prefix in _EUROPEAN:
            checked = european.validate(f"{prefix}{number}")
        elif prefix == "CH":
            checked = swiss.validate(compact)
        elif prefix == "NO" or compact.endswith("MVA"):
            checked = f"NO{norwegian.validate(number.removeprefix('NO'))}"
        else:
            raise ValueError(f"{text!r}: VAT ids of {prefix or 'no country'} are not known here")
    except ValidationError as error:
        raise ValueError(f"{text!r} is no VAT id of {prefix}: {str(error).rstrip('.').lower()}") from None
    return VatId(text=checked, country=_COUNTRY_OF.get(prefix, prefix))
