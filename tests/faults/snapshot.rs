//! Snapshots while the engine refuses: whole or not at all, and what was stopped for them runs again.

use crate::fake::{Fake, Reply};
use crate::taskava::dev;

const TWO: &str = "services.one = { image = \"app:1\", volumes = [\"a:/a\", \"b:/b\"] }\n\
                   services.two = { image = \"app:1\", volumes = [\"c:/c\"], depends_on = [\"one\"] }";

fn full() -> Reply {
    Reply::error(500, "write /var/lib/docker/x: no space left on device")
}

/// Names of the saved volumes' images.
fn saved(fake: &Fake) -> Vec<String> {
    fake.images().into_iter().filter(|name| !name.ends_with(":empty")).collect()
}

/// A stack that runs.
async fn up() -> Fake {
    let fake = Fake::new();
    dev(&fake, TWO, &["up"]).await.ends(0, &[]);
    fake
}

fn runs(fake: &Fake) {
    let states = fake.states();
    assert_eq!((states["faults-one"], states["faults-two"]), ("running", "running"), "{states:?}");
    assert_eq!(states.len(), 2, "no helper is left: {states:?}");
}

#[tokio::test]
async fn a_save_that_fails_leaves_no_snapshot_and_starts_again_what_it_stopped() {
    let fake = up().await.first(1, "POST", "/images/create", full());
    let run = dev(&fake, TWO, &["snapshot", "save", "x"]).await;
    run.ends(1, &["no space left on device", "starting again what was stopped: two"]);
    assert_eq!(saved(&fake), Vec::<String>::new());
    runs(&fake);
    dev(&fake, TWO, &["snapshot", "save", "x"]).await.ends(0, &[]);
    assert_eq!(saved(&fake).len(), 3);
    runs(&fake);
}

#[tokio::test]
async fn a_volume_that_cant_be_read_fails_the_save_as_a_whole() {
    let fake = up().await;
    dev(&fake, TWO, &["snapshot", "save", "first"]).await.ends(0, &[]);
    let fake = fake.first(1, "GET", "/containers/*/archive", Reply::error(500, "input/output error"));
    dev(&fake, TWO, &["snapshot", "save", "x"]).await.ends(1, &["input/output error"]);
    assert_eq!(saved(&fake).len(), 3, "the one that is whole stays");
    runs(&fake);
}

#[tokio::test]
async fn nothing_is_removed_when_it_could_not_be_saved_before() {
    let fake = up().await;
    dev(&fake, TWO, &["snapshot", "save", "x"]).await.ends(0, &[]);
    let fake = fake.first(1, "POST", "/images/create", full());
    dev(&fake, TWO, &["snapshot", "restore", "x"]).await.ends(1, &["no space left on device"]);
    assert_eq!(saved(&fake).len(), 3, "{:?}", saved(&fake));
    runs(&fake);
    let fake = fake.first(1, "POST", "/images/create", full());
    dev(&fake, TWO, &["down", "-v", "-y"]).await.ends(1, &["no space left on device"]);
    let asked = fake.requests();
    assert!(!asked.iter().any(|asked| asked.starts_with("DELETE /volumes/")), "{asked:?}");
}

#[tokio::test]
async fn a_restore_that_fails_to_fill_a_volume_is_named_by_all_that_comes() {
    let fake = up().await;
    dev(&fake, TWO, &["snapshot", "save", "x"]).await.ends(0, &[]);
    let fake = fake.first(1, "POST", "/containers/create", full());
    dev(&fake, TWO, &["snapshot", "restore", "x", "--no-snapshot"]).await.ends(1, &["no space left on device"]);
    let words = ["restoring snapshot x was cut off", "finish it with: taskava dev snapshot restore x"];
    for command in [&["up"][..], &["snapshot", "save", "y"], &["plan"], &["restart"]] {
        dev(&fake, TWO, command).await.ends(1, &words);
    }
    dev(&fake, TWO, &["ps"]).await.ends(0, &words);
    dev(&fake, TWO, &["down"]).await.ends(0, &[]);
    dev(&fake, TWO, &["up"]).await.ends(1, &words);
    dev(&fake, TWO, &["snapshot", "restore", "x"]).await.ends(0, &[]);
    dev(&fake, TWO, &["up"]).await.ends(0, &[]);
    runs(&fake);
}

#[tokio::test]
async fn a_volume_that_is_half_removed_is_named_by_all_that_comes() {
    let broken = || Reply::error(500, "unlinkat /var/lib/docker/volumes/x: input/output error");
    let fake = up().await.first(1, "DELETE", "/volumes/faults-b", broken());
    dev(&fake, TWO, &["down", "-v", "-y"]).await.ends(1, &["input/output error"]);
    let words =
        ["removing volume faults-b was cut off", "finish it with: taskava dev down -v", "snapshot restore auto-"];
    for command in [&["up"][..], &["snapshot", "save", "y"], &["plan"]] {
        dev(&fake, TWO, command).await.ends(1, &words);
    }
    dev(&fake, TWO, &["ps"]).await.ends(0, &words);
    dev(&fake, TWO, &["down", "-v", "-y"]).await.ends(0, &[]);
    dev(&fake, TWO, &["up"]).await.ends(0, &[]);
    runs(&fake);
}
