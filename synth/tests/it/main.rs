//! The crate as its users see it.
#![allow(clippy::unwrap_used)]

mod adding;
mod answers;
mod backends;
mod clip_filter;
mod faults;
mod fixtures;
mod fuse;
mod fuse_rounds;
mod http_server;
mod job;
mod long_prompts;
mod memory;
mod mending;
mod own_folder;
mod parquet;
mod pocket_batches;
mod pocket_golden;
mod pocket_loading;
mod pocket_precision;
mod queue;
mod records;
mod remote;
mod resume;
mod sd_adapters;
mod sd_fixtures;
mod sd_loading;
mod sd_overflow;
mod sd_parity;
mod sd_requests;
mod sd_samplers;
mod sd_settings;
mod sd_upstream;
mod service;
mod service_tls;
mod writers;
