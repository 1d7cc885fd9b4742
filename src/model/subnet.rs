//! IPv4 subnets for isolated stacks: small ones, taken from a pool, that do not overlap.
//!
//! An engine has about 30 subnets for networks without an explicit one; a hundred test runs in parallel need more.

use std::fmt;
use std::net::Ipv4Addr;

/// `10.213.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    address: u32,
    prefix: u8,
}

impl Subnet {
    /// From its text; bits behind the prefix are dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.trim().split_once('/')?;
        let (address, prefix) = (address.parse::<Ipv4Addr>().ok()?, prefix.parse().ok()?);
        (prefix <= 32).then(|| Self::new(address.into(), prefix))
    }

    /// The subnet of this length that an address is in.
    pub fn new(address: u32, prefix: u8) -> Self {
        Self { address: address & mask(prefix), prefix }
    }

    /// Whether any address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let wider = mask(self.prefix.min(other.prefix));
        self.address & wider == other.address & wider
    }

    /// How many subnets of this length are in it.
    fn parts(&self, prefix: u8) -> u32 {
        prefix.checked_sub(self.prefix).map_or(0, |bits| 1_u32.checked_shl(bits.into()).unwrap_or(u32::MAX))
    }

    fn part(&self, prefix: u8, number: u32) -> Self {
        Self { address: self.address | (number << (32 - prefix)), prefix }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.prefix)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The longest prefix with room for so many containers: the network's own address, the gateway's and the broadcast
/// address take three. Never longer than 28, so that a few more can be added by hand.
pub fn prefix_for(containers: usize) -> u8 {
    (16..=28).rev().find(|prefix| (1_usize << (32 - prefix)) >= containers + 3).unwrap_or(16)
}

/// A subnet of the pools that overlaps with none that is taken. The search begins somewhere else for each `start`, so that
/// those who search at the same time seldom find the same one.
pub fn free(pools: &[Subnet], prefix: u8, taken: &[Subnet], start: u32) -> Option<Subnet> {
    pools.iter().find_map(|pool| {
        let parts = pool.parts(prefix);
        let numbers = (0..parts).map(|step| start.wrapping_add(step) % parts);
        numbers.map(|number| pool.part(prefix, number)).find(|part| !taken.iter().any(|other| other.overlaps(part)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::parse(text).expect("a subnet")
    }

    #[test]
    fn texts_are_read_and_written() {
        assert_eq!(subnet("10.213.7.9/16").to_string(), "10.213.0.0/16");
        assert_eq!(subnet("0.0.0.0/0").to_string(), "0.0.0.0/0");
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "fe80::/64", "10.0.0/8"] {
            assert_eq!(Subnet::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wide_one_overlaps_with_all_within() {
        assert!(subnet("10.0.0.0/8").overlaps(&subnet("10.213.4.0/28")));
        assert!(subnet("10.213.4.0/28").overlaps(&subnet("10.0.0.0/8")));
        assert!(!subnet("10.213.4.0/28").overlaps(&subnet("10.213.4.16/28")));
    }

    #[test]
    fn a_stack_gets_room_for_its_containers() {
        assert_eq!([1, 13, 14, 29, 30, 500].map(prefix_for), [28, 28, 27, 27, 26, 23]);
    }

    #[test]
    fn every_part_of_a_pool_is_found_before_it_is_used_up() {
        let pools = [subnet("10.1.0.0/26"), subnet("192.168.5.0/28")];
        let mut taken = vec![subnet("10.1.0.16/28")];
        let mut found = Vec::new();
        while let Some(next) = free(&pools, 28, &taken, 2) {
            found.push(next.to_string());
            taken.push(next);
        }
        assert_eq!(found, ["10.1.0.32/28", "10.1.0.48/28", "10.1.0.0/28", "192.168.5.0/28"]);
    }

    #[test]
    fn a_pool_that_somebody_took_as_a_whole_is_left_out() {
        let pools = [subnet("10.1.0.0/16"), subnet("172.29.0.0/16")];
        let found = free(&pools, 28, &[subnet("10.0.0.0/8")], 0);
        assert_eq!(found.map(|found| found.to_string()).as_deref(), Some("172.29.0.0/28"));
        assert_eq!(free(&[subnet("10.1.0.0/30")], 28, &[], 7), None);
    }
}
