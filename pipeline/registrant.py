"""Who owns a host: its registrable domain, by the public suffix list that tldextract ships.

Ten pages on ten subdomains of one domain are one voice; on ten domains they are ten, or one with money.
"""

from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import tldextract

from pipeline.filter.text import code_of


@cache
def _extractor() -> tldextract.TLDExtract:
    # The packaged snapshot only: a list fetched at run time would make the result depend on the day.
    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)


@lru_cache(1 << 16)
def registrant(host: str) -> str:
    """The registrable domain: `a.b.example.co.uk` -> `example.co.uk`; blogs on a shared host are apart.

    An address or a name without a known suffix is its own.
    """
    found = _extractor()(host)
    return found.top_domain_under_public_suffix or host


def is_public_suffix(host: str) -> bool:
    """Whether unrelated owners register names below a host: `com`, `co.uk`. Shared hosts (`blogspot.com`) are none."""
    return _extractor()(host, include_psl_private_domains=False).suffix == host


def owner_hashes(hosts: pa.Array) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of the owner of each host, equal in every process; documents without a host have 0."""
    coded = pc.fill_null(hosts, "").dictionary_encode()
    hashes = [code_of(registrant(host)) if host else 0 for host in coded.dictionary.to_pylist()]
    return np.array(hashes, np.uint64)[coded.indices.to_numpy()]
