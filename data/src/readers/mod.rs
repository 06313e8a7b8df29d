//! One reader per layout. Each adds what it finds to a [`Listing`](crate::listing::Listing).

pub(crate) mod class_folders;
pub(crate) mod domain_folders;
pub(crate) mod domainnet_lists;
pub(crate) mod parquet;
