//! GPUs: `gpus`, and devices that `deploy` reserves.

use super::Importer;
use super::service::Draft;
use crate::compose::toml::{Item, Value};
use crate::compose::yaml::Node;
use crate::diag::Place;
use crate::model::gpus::Gpus;

impl Importer<'_> {
    /// `all`, or a list of requests.
    pub(super) fn gpus(&mut self, draft: &mut Draft<'_>, key: &Place, node: &Node) {
        let Some(requests) = node.list() else {
            let text = self.text(node);
            let item = self.item(key, text);
            draft.list("gpus").push(item);
            return;
        };
        for request in requests {
            let list = |key: &str| match request.get(key).and_then(Node::list) {
                Some(items) => items.iter().map(|item| self.value(item)).collect(),
                None => Vec::new(),
            };
            let count = request.get("count").map(|count| self.value(count)).filter(|count| !count.is_empty());
            let gpus = Gpus {
                driver: request.get("driver").map(|driver| self.value(driver)).filter(|driver| !driver.is_empty()),
                count: count.and_then(|count| if count == "all" { Some(-1) } else { count.parse().ok() }),
                devices: list("device_ids"),
                capabilities: list("capabilities"),
            };
            if let Some(options) = request.map().and_then(|map| map.get("options")) {
                let place = options.key.clone();
                self.lost(&place, "options", "a request for GPUs has driver, count, device and capabilities");
            }
            // Without a number they are all meant.
            let counted = gpus.count.is_some() || !gpus.devices.is_empty();
            let gpus = if counted { gpus } else { Gpus { count: Some(-1), ..gpus } };
            let above = self.above(&request.place);
            draft.list("gpus").push(Item { above, value: Value::Text(gpus.to_string()), right: None });
        }
        let above = self.above(key);
        draft.comment("gpus", above);
    }
}
