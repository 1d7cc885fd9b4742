//! Requests for GPUs in the notation of `docker run --gpus`: `all`, a number, or
//! `driver=nvidia,count=1,device=0,1,capabilities=gpu,utility`.

/// One request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gpus {
    /// Driver; the engine chooses one otherwise.
    pub driver: Option<String>,
    /// How many; -1 = all.
    pub count: Option<i64>,
    /// Which, by index or identifier.
    pub devices: Vec<String>,
    /// What they must be able to do.
    pub capabilities: Vec<String>,
}

impl Gpus {
    /// Reads one.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        let mut list = "";
        for part in text.split(',').map(str::trim) {
            let (key, value) = match part.split_once('=') {
                Some((key, value)) => (key, value),
                // A further item of the list before it; at the beginning, how many.
                None if list.is_empty() => ("count", part),
                None => (list, part),
            };
            match key {
                "driver" => found.driver = Some(value.to_owned()),
                "count" if value == "all" => found.count = Some(-1),
                "count" => {
                    let count = value.parse::<i64>().ok().filter(|count| *count >= -1);
                    found.count = Some(count.ok_or_else(|| format!("`{value}` is not a number of GPUs, nor `all`"))?);
                }
                "device" => found.devices.push(value.to_owned()),
                "capabilities" => found.capabilities.push(value.to_owned()),
                other => return Err(format!("`{other}` is not driver, count, device or capabilities")),
            }
            list = if matches!(key, "device" | "capabilities") { key } else { "" };
        }
        if found.count.is_some() && !found.devices.is_empty() {
            return Err("a request has a count or devices, not both".into());
        }
        Ok(found)
    }
}

/// As it is written.
impl std::fmt::Display for Gpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let (Self { driver: None, devices, capabilities, .. }, Some(-1)) = (self, self.count)
            && devices.is_empty()
            && capabilities.is_empty()
        {
            return f.write_str("all");
        }
        let mut parts: Vec<String> = self.driver.iter().map(|driver| format!("driver={driver}")).collect();
        parts.extend(self.count.map(|count| match count {
            -1 => "count=all".into(),
            count => format!("count={count}"),
        }));
        for (key, list) in [("device", &self.devices), ("capabilities", &self.capabilities)] {
            parts.extend((!list.is_empty()).then(|| format!("{key}={}", list.join(","))));
        }
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_takes_is_read_and_written_the_same() {
        for text in ["all", "count=2", "driver=nvidia,count=all,capabilities=gpu,utility", "device=0,GPU-1"] {
            assert_eq!(Gpus::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Gpus::parse("2").unwrap().count, Some(2));
        let two = Gpus::parse("device=0,1,capabilities=gpu,video").unwrap();
        assert_eq!((two.devices.len(), two.capabilities.len()), (2, 2));
        for wrong in ["", "some", "count=-2", "count=1,device=0", "size=1"] {
            assert!(Gpus::parse(wrong).is_err(), "{wrong}");
        }
    }
}
