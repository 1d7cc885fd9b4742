//! Tests that run at the same time: which of them wait for each other, and that none takes what is another's.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex};

/// A turn of a test that loads the machine.
pub(crate) struct Turn(());

/// How many of them there are at the moment.
static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Tests that load the machine take turns: one for each processor at a time, however many threads run the others.
pub(crate) fn heavy() -> Turn {
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    let taken = TURNS.0.lock().expect("no panic");
    *TURNS.1.wait_while(taken, |taken| *taken >= most).expect("no panic") += 1;
    Turn(())
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.0.lock().expect("no panic") -= 1;
        TURNS.1.notify_one();
    }
}

/// A name that only one stack has at a time.
pub(crate) struct Name(String);

static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

impl Name {
    #[track_caller]
    pub(crate) fn take(name: &str) -> Self {
        let free = NAMES.lock().expect("no panic").insert(name.to_owned());
        assert!(free, "two tests call a stack {name}; they may run at the same time");
        Self(name.to_owned())
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        NAMES.lock().expect("no panic").remove(&self.0);
    }
}
