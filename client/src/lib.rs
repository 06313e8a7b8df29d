//! The client of federated generative learning: private images to prompts, with a preview of what
//! would leave the machine.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use promptfed_client::{ExtractOptions, captioner, extract};
//! use promptfed_data::OpenOptions;
//! use promptfed_prompts::{LabelSpace, Level, TemplateSet};
//!
//! let classes = LabelSpace::builtin("pacs")?;
//! let options = OpenOptions { label_space: Some(classes.clone()), ..OpenOptions::default() };
//! let images = promptfed_data::open("pictures".as_ref(), &options)?;
//!
//! let mut options = ExtractOptions::new(Level::Instance, TemplateSet::builtin("pocket")?);
//! options.captioner = captioner("metadata+attributes")?;
//! let extraction = extract(&images, &classes, &options)?;
//! println!("{}", extraction.preview.json);
//! println!("{} bytes would leave", extraction.preview.wire_bytes);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod attributes;
mod captioner;
mod class_words;
mod colour;
mod credentials;
mod domain;
mod enrol;
mod error;
mod extract;
mod extract_options;
mod extraction;
mod operator;
mod probe;
mod receipt;
mod release;
mod request_error;
mod session;
mod submit;
mod tls;
mod tls_fault;
mod transport;
mod trust;

pub use admin::{ADMIN, AdminClient, Registration};
pub use attributes::{Attributes, Tone, mean_luma};
pub use captioner::{
    AttributeCaptioner, BlipCaptioner, CAPTIONER_NAMES, CaptionInput, CaptionProblem, Captioner,
    JoinedCaptioner, MAX_SIDE_CAR_BYTES, MetadataCaptioner, NoCaptioner, captioner, captioner_with,
};
pub use class_words::{check_class_words, check_label_space_words};
pub use colour::Colour;
pub use credentials::Credentials;
pub use domain::{NamedDomain, give_domain, name_domain, without_domain};
pub use enrol::{EnrolmentString, NoEnrolmentString, new_token};
pub use error::{Error, Result};
pub use extract::{extract, extract_with_progress};
pub use extract_options::ExtractOptions;
pub use extraction::{
    ClassImages, ExtractReport, Extraction, Preview, PreviewPrompt, WithoutCaption,
};
pub use operator::ImagesAsked;
pub use probe::{ServerProbe, ShownCertificate, probe};
pub use receipt::{ReceiptError, ReceiptFile};
pub use release::{ReleaseRules, Withheld};
pub use request_error::RequestError;
pub use session::{RetryPolicy, Session};
pub use submit::FederationClient;
pub use transport::SocketBytes;
pub use trust::{Fingerprint, NoFingerprint, ServerTrust};
