//! An application that keeps its orders in PostgreSQL. What is of interest is how it is tested: see `tests/orders.rs`.
