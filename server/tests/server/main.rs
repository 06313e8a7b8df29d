//! Tests of a running server, through its sockets.
#![allow(clippy::unwrap_used)]

mod access;
mod crash;
mod images;
mod jobs;
mod ledger;
mod openapi;
mod requests;
mod submissions;
mod support;
