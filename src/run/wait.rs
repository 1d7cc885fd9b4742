//! Waits for one service: asks, watches its container, and reports at once when it ends.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::probe::{Answer, Limits, Prober, is_network};
use super::{Run, failure};
use crate::diag::{ErrorKind, Result};
use crate::engine::{Engine, Health, Inspected};
use crate::event::Failure;
use crate::model::{Probe, RestartPolicy, Service};

/// Waits until a service is ready; for a job: until it has ended with exit 0.
pub(super) async fn ready(
    run: &Run<'_>,
    service: &Service,
    id: &str,
    began: Instant,
    tell: &dyn Fn(String),
) -> Result<(), Box<Failure>> {
    todo_gate(run, service, id, began, tell).await
}
