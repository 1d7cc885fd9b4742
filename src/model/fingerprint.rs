//! stub
use super::{Service, Stack};
use std::collections::BTreeMap;
/// x
pub fn fingerprint(stack: &Stack, service: &Service) -> BTreeMap<String, String> {
    let _ = (stack, service);
    BTreeMap::new()
}
/// x
pub fn changed(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let mut keys: Vec<String> = old.keys().chain(new.keys()).filter(|k| old.get(*k) != new.get(*k)).cloned().collect();
    keys.sort();
    keys.dedup();
    keys
}
/// x
pub fn network(network: &super::Network) -> String {
    let _ = network;
    String::new()
}
