//! An image of one file, made here: for what no image of the tests is (another architecture, another version).

use bollard::query_parameters::ImportImageOptions;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};

use crate::docker::{engine, untag};

/// The start of a program for arm64: enough for the kernel to know that it is not for this machine. (The machines that run
/// the tests are amd64; on arm64 it is one for amd64.)
fn foreign_program() -> Vec<u8> {
    let machine: u8 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    let mut program = vec![0_u8; 64];
    program[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
    program[16] = 2;
    program[18] = machine;
    program[20] = 1;
    program[52] = 64;
    program
}

/// The architecture that this machine is not.
pub(crate) const FOREIGN: &str = if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" };
/// The one it is.
pub(crate) const OWN: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// An image of no stack, removed when it goes out of scope.
pub(crate) struct TinyImage(pub(crate) String);

impl TinyImage {
    /// Loads an image whose only file, its command, is a program for another machine.
    pub(crate) fn load(name: &str, architecture: &str, env: &[&str]) -> Self {
        let reference = format!("taskava-test/{name}-{}:1", std::process::id());
        let layer = archive(&[("run", &foreign_program())]);
        let config = serde_json::json!({
            "architecture": architecture,
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": { "Cmd": ["/run"], "Env": env },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))] },
        });
        let config = config.to_string().into_bytes();
        let config_name = format!("{}.json", digest(&config));
        let manifest = serde_json::json!([{ "Config": config_name, "RepoTags": [reference], "Layers": ["layer.tar"] }]);
        let image = archive(&[
            ("manifest.json", manifest.to_string().as_bytes()),
            (&config_name, &config),
            ("layer.tar", &layer),
        ]);
        engine(async |docker| {
            let body = bollard::body_full(image.into());
            docker.import_image(ImportImageOptions::default(), body, None).try_collect::<Vec<_>>().await
        });
        Self(reference)
    }
}

impl Drop for TinyImage {
    fn drop(&mut self) {
        untag(&self.0);
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, name, *content).expect("memory");
    }
    archive.into_inner().expect("memory")
}
