//! Resource usage of containers: the engine's counters, converted as docker does.

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptions;
use futures_util::{Stream, StreamExt as _};

use super::Engine;
use super::error::{failed, status};
use crate::diag::Result;

/// What a container uses. Bytes, unless they say otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// When it was read, RFC 3339 by the engine's clock.
    pub at: String,
    /// Percent of one core; none until there are two readings to compare.
    pub cpu_percent: Option<f64>,
    /// Memory without what is only cached of files.
    pub memory: u64,
    /// Its limit, or the machine's total.
    pub memory_limit: u64,
    /// Received over the network since its start.
    pub received: u64,
    /// Sent over the network since its start.
    pub sent: u64,
    /// Read from disks since its start.
    pub read: u64,
    /// Written to disks since its start.
    pub written: u64,
    /// Processes and threads.
    pub pids: u64,
}

impl Usage {
    /// Memory in percent of the limit.
    pub fn memory_percent(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        if self.memory_limit == 0 { 0.0 } else { self.memory as f64 / self.memory_limit as f64 * 100.0 }
    }
}

impl Engine {
    /// The usage of a container, about every second; none while it does not run. Ends when it is removed.
    pub fn usage(&self, id: &str) -> impl Stream<Item = Result<Option<Usage>>> + Send + use<> {
        let stats = self.docker.stats(id, Some(StatsOptions { stream: true, one_shot: false }));
        // The first reading has none to compare with.
        stats.take_while(|seen| std::future::ready(!seen.as_ref().is_err_and(|error| status(error) == Some(404)))).map(
            |seen| match seen {
                Ok(seen) => Ok(usage(&seen)),
                Err(error) => Err(failed("can't read what the container uses", &error)),
            },
        )
    }

    /// What a container uses now: the engine compares two readings, which takes it a second. None if it does not run.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn usage_once(&self, id: &str) -> Result<Option<Usage>> {
        let mut stats = std::pin::pin!(self.docker.stats(id, Some(StatsOptions { stream: false, one_shot: false })));
        match stats.next().await {
            Some(Ok(seen)) => Ok(usage(&seen)),
            Some(Err(error)) if status(&error) == Some(404) => Ok(None),
            Some(Err(error)) => Err(failed("can't read what the container uses", &error)),
            None => Ok(None),
        }
    }
}

/// None for a container that does not run: it has no memory then.
fn usage(seen: &ContainerStatsResponse) -> Option<Usage> {
    let memory = seen.memory_stats.as_ref()?;
    let used = memory.usage?;
    let networks = || seen.networks.iter().flat_map(|networks| networks.values());
    let blocks = |wanted: char| {
        let entries = seen.blkio_stats.iter().filter_map(|stats| stats.io_service_bytes_recursive.as_ref()).flatten();
        let of = |op: &Option<String>| op.as_ref().is_some_and(|op| op.to_ascii_lowercase().starts_with(wanted));
        entries.filter(|entry| of(&entry.op)).filter_map(|entry| entry.value).sum()
    };
    Some(Usage {
        at: seen.read.clone().unwrap_or_default(),
        cpu_percent: cpu_percent(seen.precpu_stats.as_ref(), seen.cpu_stats.as_ref()),
        memory: used.saturating_sub(cached(memory)),
        memory_limit: memory.limit.unwrap_or_default(),
        received: networks().filter_map(|network| network.rx_bytes).sum(),
        sent: networks().filter_map(|network| network.tx_bytes).sum(),
        read: blocks('r'),
        written: blocks('w'),
        pids: seen.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default(),
    })
}

/// The container's share of the time that all cores had between two readings, times the number of cores.
fn cpu_percent(before: Option<&ContainerCpuStats>, now: Option<&ContainerCpuStats>) -> Option<f64> {
    let (before, now) = (before?, now?);
    let total = |stats: &ContainerCpuStats| stats.cpu_usage.as_ref().and_then(|usage| usage.total_usage);
    let used = total(now)?.saturating_sub(total(before)?);
    let passed = now.system_cpu_usage?.checked_sub(before.system_cpu_usage.filter(|before| *before > 0)?)?;
    // Engines on cgroup v1 that do not say it list the cores.
    let listed = || now.cpu_usage.as_ref()?.percpu_usage.as_ref()?.len().try_into().ok();
    let cores = now.online_cpus.filter(|cores| *cores > 0).or_else(listed)?;
    #[expect(clippy::cast_precision_loss, reason = "a percentage")]
    (passed > 0).then(|| used as f64 / passed as f64 * f64::from(cores) * 100.0)
}

/// Pages of files that would be given back at once. cgroup v1 calls them otherwise than v2.
fn cached(memory: &ContainerMemoryStats) -> u64 {
    let stat = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name)).copied();
    let used = memory.usage.unwrap_or_default();
    let cached = stat("total_inactive_file").or_else(|| stat("inactive_file"));
    cached.filter(|cached| *cached < used).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: serde_json::Value) -> Option<Usage> {
        usage(&serde_json::from_value(text).expect("as the engine writes it"))
    }

    #[test]
    fn cgroup_v1() {
        let usage = seen(serde_json::json!({
            "read": "2026-11-24T02:10:01Z", "preread": "2026-11-24T02:10:00Z",
            "pids_stats": {"current": 3},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 100}, {"major": 8, "minor": 0, "op": "Write", "value": 20},
                {"major": 8, "minor": 0, "op": "Sync", "value": 7}, {"major": 9, "minor": 0, "op": "Read", "value": 1},
                {"major": 8, "minor": 0, "op": "Total", "value": 120}]},
            "cpu_stats": {"cpu_usage": {"total_usage": 1_500, "percpu_usage": [900, 600]}, "system_cpu_usage": 12_000},
            "precpu_stats": {"cpu_usage": {"total_usage": 1_000, "percpu_usage": [600, 400]}, "system_cpu_usage": 10_000},
            "memory_stats": {"usage": 1_000, "limit": 4_000, "stats": {"total_inactive_file": 300, "inactive_file": 5}},
            "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 20}, "eth1": {"rx_bytes": 1, "tx_bytes": 2}}
        }))
        .unwrap();
        assert_eq!(usage.cpu_percent, Some(50.0), "a quarter of the time of two cores");
        assert_eq!((usage.memory, usage.memory_limit, usage.memory_percent()), (700, 4_000, 17.5));
        assert_eq!((usage.received, usage.sent, usage.read, usage.written, usage.pids), (11, 22, 101, 20, 3));
    }

    #[test]
    fn cgroup_v2() {
        let usage = seen(serde_json::json!({
            "cpu_stats": {"cpu_usage": {"total_usage": 3_000}, "system_cpu_usage": 14_000, "online_cpus": 4},
            "precpu_stats": {"cpu_usage": {"total_usage": 1_000}, "system_cpu_usage": 10_000, "online_cpus": 4},
            "memory_stats": {"usage": 1_000, "limit": 4_000, "stats": {"inactive_file": 400, "anon": 1}},
            "blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 1}, {"op": "write", "value": 2}]}
        }))
        .unwrap();
        assert_eq!(usage.cpu_percent, Some(200.0));
        assert_eq!((usage.memory, usage.read, usage.written), (600, 1, 2));
    }

    #[test]
    fn what_can_not_be_known_is_not_made_up() {
        let first = serde_json::json!({
            "cpu_stats": {"cpu_usage": {"total_usage": 3_000}, "system_cpu_usage": 14_000, "online_cpus": 4},
            "precpu_stats": {"cpu_usage": {"total_usage": 0}},
            "memory_stats": {"usage": 10, "stats": {"inactive_file": 400}}
        });
        let usage = seen(first).unwrap();
        assert_eq!((usage.cpu_percent, usage.memory, usage.memory_percent()), (None, 10, 0.0));
        let stopped = serde_json::json!({"read": "0001-01-01T00:00:00Z", "cpu_stats": {}, "memory_stats": {}});
        assert_eq!(seen(stopped), None);
    }
}
