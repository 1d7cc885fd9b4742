//! Ready is never said too early: fifteen first boots of PostgreSQL, each with an init script that takes its time.

use crate::clients::{POSTGRES, postgres};
use crate::stack::{Stack, heavy};

const COLD_STARTS: usize = 15;
const AT_ONCE: usize = 5;

/// What makes the temporary server of the first boot stay for a while.
pub(crate) const SLOW: &str = "select pg_sleep(2); create table seeded as select generate_series(1, 3) as id;";

/// A database whose first boot takes more than two seconds.
pub(crate) fn slow_postgres(name: &str) -> Stack {
    let init = "stop_signal = \"SIGKILL\"\nvolumes = [\"./init:/docker-entrypoint-initdb.d:ro\", ";
    let stack = Stack::new(name, &POSTGRES.replace("volumes = [", init));
    stack.file("init/seed.sql", SLOW);
    stack
}

#[test]
fn the_first_query_after_each_of_fifteen_cold_starts_succeeds() {
    let _turn = heavy();
    std::thread::scope(|scope| {
        for worker in 0..AT_ONCE {
            scope.spawn(move || {
                let stack = slow_postgres(&format!("cold-{worker}"));
                for _ in 0..COLD_STARTS / AT_ONCE {
                    let up = stack.up();
                    let mut client = postgres(stack.port("postgres", 5432));
                    let count: i64 = client.query_one("select count(*) from seeded", &[]).expect("the table").get(0);
                    assert_eq!(count, 3, "{}", up.stderr);
                    stack.dev(&["down", "-v"]).ends(0);
                }
            });
        }
    });
}
