"""The network library: IP addresses and address ranges (CIDR)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from domain.language.faults import Fault
from domain.language.library.function import Function, function
from domain.language.library.operators import no_overload

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_PREFIX: Final = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class IP:
    """An address; one of IPv4 mapped into IPv6 is that of IPv4."""

    type_name: ClassVar[str] = "net.IP"
    address: Address

    def to_text(self) -> str:
        """Return the address in canonical form."""
        return str(self.address)


@dataclass(frozen=True, slots=True)
class CIDR:
    """An address with the length of its network's prefix."""

    type_name: ClassVar[str] = "net.CIDR"
    address: Address
    prefix: int

    def to_text(self) -> str:
        """Return the range as address/length."""
        return f"{self.address}/{self.prefix}"

    def covers(self, address: Address) -> bool:
        """Return whether an address is in the range."""
        if address.version != self.address.version:
            return False
        shift: int = address.max_prefixlen - self.prefix
        return int(address) >> shift == int(self.address) >> shift


def _read(text: str) -> Address | None:
    """Read an address without a zone; one of IPv4 in IPv6 is not written with dots."""
    if "%" in text or len(text) > 64:
        return None
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
    return None if mapped and "." in text else address


def _parse(text: str) -> Address | None:
    address = _read(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _parse_range(text: str) -> CIDR | None:
    before, slash, prefix = text.partition("/")
    if not slash or _PREFIX.fullmatch(prefix) is None:
        return None
    address = _read(before)
    return None if address is None or int(prefix) > address.max_prefixlen else CIDR(address, int(prefix))


def to_ip(value: Any) -> IP:
    """``ip(s)``, or ``cidr.ip()``."""
    if type(value) is CIDR:
        return IP(value.address)
    if type(value) is IP:
        return value
    if type(value) is not str:
        no_overload("ip", value)
    address = _parse(value)
    if address is None:
        raise Fault("conversion", f"{value[:64]!r} is not an IP address")
    return IP(address)


def to_cidr(value: Any) -> CIDR:
    """``cidr(s)``."""
    if type(value) is CIDR:
        return value
    if type(value) is not str:
        no_overload("cidr", value)
    found = _parse_range(value)
    if found is None:
        raise Fault("conversion", f"{value[:64]!r} is not an address range")
    return found


def is_ip(value: Any) -> bool:
    """``isIP(s)``."""
    if type(value) is not str:
        no_overload("isIP", value)
    return _parse(value) is not None


def is_cidr(value: Any) -> bool:
    """``isCIDR(s)``."""
    if type(value) is not str:
        no_overload("isCIDR", value)
    return _parse_range(value) is not None


def is_canonical(value: Any) -> bool:
    """``ip.isCanonical(s)``: whether the address is written in its canonical form."""
    if type(value) is not str:
        no_overload("ip.isCanonical", value)
    return bool(to_ip(value).to_text() == value)


def _of_ip(name: str, compute: Callable[[Address], Any]) -> Function:
    def of_ip(value: Any) -> Any:
        if type(value) is not IP:
            no_overload(name, value)
        return compute(value.address)

    of_ip.__name__ = name
    return function(name, of_ip, f"ip.{name}() {'int' if name == 'family' else 'bool'}")


def _is_link_local_multicast(address: Address) -> bool:
    if address.version == 4:
        return int(address) >> 8 == 0xE00000
    return (int(address) >> 112) & 0xFF0F == 0xFF02


def _is_global_unicast(address: Address) -> bool:
    broadcast = address.version == 4 and int(address) == 2**32 - 1
    local = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not (broadcast or local)


def _ranges(name: str, value: Any, other: Any) -> None:
    if type(value) is not CIDR:
        no_overload(name, value, other)


def contains_ip(value: Any, other: Any) -> bool:
    """``cidr.containsIP(x)`` of an address or its text."""
    _ranges("containsIP", value, other)
    if type(other) is not str and type(other) is not IP:
        no_overload("containsIP", value, other)
    covers: bool = value.covers(to_ip(other).address)
    return covers


def contains_cidr(value: Any, other: Any) -> bool:
    """``cidr.containsCIDR(x)`` of a range or its text."""
    _ranges("containsCIDR", value, other)
    inner = to_cidr(other)
    return inner.prefix >= value.prefix and bool(value.covers(inner.address))


def masked(value: Any) -> CIDR:
    """``cidr.masked()``: the range by its first address."""
    if type(value) is not CIDR:
        no_overload("masked", value)
    shift = value.address.max_prefixlen - value.prefix
    return CIDR(type(value.address)(int(value.address) >> shift << shift), value.prefix)


def prefix_length(value: Any) -> int:
    """``cidr.prefixLength()``."""
    if type(value) is not CIDR:
        no_overload("prefixLength", value)
    return value.prefix


FUNCTIONS: Final[tuple[Function, ...]] = (
    function("ip", to_ip, "ip(string) ip", "ip(ip) ip", "cidr.ip() ip"),
    function("cidr", to_cidr, "cidr(string) cidr", "cidr(cidr) cidr"),
    function("isIP", is_ip, "isIP(string) bool"),
    function("isCIDR", is_cidr, "isCIDR(string) bool"),
    function("ip.isCanonical", is_canonical, "ip.isCanonical(string) bool"),
    _of_ip("family", lambda address: address.version),
    _of_ip("isUnspecified", lambda address: address.is_unspecified),
    _of_ip("isLoopback", lambda address: address.is_loopback),
    _of_ip("isGlobalUnicast", _is_global_unicast),
    _of_ip("isLinkLocalMulticast", _is_link_local_multicast),
    _of_ip("isLinkLocalUnicast", lambda address: address.is_link_local),
    function("containsIP", contains_ip, "cidr.containsIP(ip) bool", "cidr.containsIP(string) bool"),
    function("containsCIDR", contains_cidr, "cidr.containsCIDR(cidr) bool", "cidr.containsCIDR(string) bool"),
    function("masked", masked, "cidr.masked() cidr"),
    function("prefixLength", prefix_length, "cidr.prefixLength() int"),
)
