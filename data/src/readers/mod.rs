//! One reader per layout. Each adds what it finds to a [`Listing`](crate::listing::Listing).

mod column_names;
pub(crate) mod lists;
pub(crate) mod metadata;
pub(crate) mod parquet;
pub(crate) mod picture_folders;
pub(crate) mod table;
