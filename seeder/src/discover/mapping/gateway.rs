//! Where the default route leads: PCP and NAT-PMP are spoken to that router. Linux tells it in a file; elsewhere UPnP,
//! which finds its router by multicast, has to do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The router of the default route, and our address towards it, which is `bind` or none where that is given.
pub(super) async fn default_route(bind: Option<IpAddr>) -> Option<(Ipv4Addr, IpAddr)> {
    let table = tokio::fs::read_to_string("/proc/net/route").await.ok()?;
    let gateway = parse(&table)?;
    let own = super::own_address_towards(SocketAddr::from((gateway, 5351)))
        .await
        .ok()?;
    let fits = bind.is_none_or(|bind| bind.is_unspecified() || bind == own);
    fits.then_some((gateway, own))
}

/// The gateway of the first default route that is up. Addresses stand in the machine's byte order.
fn parse(table: &str) -> Option<Ipv4Addr> {
    const UP_AND_GATEWAY: u16 = 0x3;
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (target, gateway, flags) = (fields.next()?, fields.next()?, fields.next()?);
        let flags = u16::from_str_radix(flags, 16).ok()?;
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        let is_default = target == "00000000" && flags & UP_AND_GATEWAY == UP_AND_GATEWAY;
        is_default.then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_is_read_as_linux_writes_it() {
        let gateway = u32::from_ne_bytes([192, 168, 1, 1]);
        let table = format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
             eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             eth0\t00000000\t{gateway:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        );
        assert_eq!(parse(&table), Some(Ipv4Addr::new(192, 168, 1, 1)));
        assert_eq!(parse("Iface\tDestination\n"), None);
        assert_eq!(parse("x\nx 00000000 zz 0003"), None);
    }
}
