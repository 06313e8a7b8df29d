//! Work shared among workers: the scheduler in simulated time, the ledger beside it, and real workers.

mod ledger;
mod server;
mod simulation;
mod workers;
mod world;
