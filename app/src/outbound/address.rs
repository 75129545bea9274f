//! Which addresses everyone may reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet: neither of this machine, nor of a private network, nor of the link
/// (where the metadata services of clouds are), nor reserved; for IPv6 also not one that leads to such an IPv4 address.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let reserved = a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && matches!(b, 18 | 19));
    !(reserved || ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast())
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    let v4_at = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // Unspecified, loopback, and IPv4 written as IPv6, in the old way and the new.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => (high, low) > (0, 1) && v4_at(high, low),
        // Translated to IPv4 by a gateway, and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4_at(high, low),
        // Translated in a way of a network's own, and Teredo.
        [0x64, 0xff9b, ..] | [0x2001, 0, ..] => false,
        [first, ..] => {
            let local = matches!(first & 0xfe00, 0xfc00) || matches!(first & 0xff80, 0xfe80);
            !local && !ip.is_multicast() && first != 0x100
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_addresses_are_known_in_every_spelling() {
        for inner in [
            "127.0.0.1",
            "127.255.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(inner.parse().expect("an address")), "{inner}");
        }
        for outer in ["93.184.216.34", "172.32.0.1", "100.128.0.1", "::ffff:93.184.216.34", "2606:2800:220:1::1"] {
            assert!(is_public(outer.parse().expect("an address")), "{outer}");
        }
    }
}
