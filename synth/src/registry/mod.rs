//! Every engine there is, by the words that name it, and the engines that a program has.
//!
//! An engine is named in one way wherever it is asked for, by an [`EngineRef`]:
//!
//! | text | engine |
//! |---|---|
//! | `pocket`, `pocket:all`, `pocket:photo`, `pocket:draw`, `pocket:DIR` | the bundled small generator, with the weights of a name or folder |
//! | `sd:DIR`, `sd:OWNER/NAME[@REVISION]` | Stable Diffusion from a folder or from the hub |
//! | `remote:URL[#MODEL]` | a server that speaks OpenAI's `images/generations`, `promptfed synth serve` among them |
//! | `a1111:URL[#MODEL]` | a server that speaks AUTOMATIC1111's `sdapi/v1/txt2img` |
//!
//! With a name and [`EngineOptions`] it is a [`Backend`]; [`Backend::prepare`] downloads and checks what it needs, and the
//! [`Prepared`] one is loaded as often as work asks for it. [`Engines`] is a set of these.

mod backend;
mod engines;
mod options;
mod prepared;
mod reference;

pub use backend::Backend;
pub(crate) use backend::folder_name;
pub use engines::Engines;
pub use options::{EngineOptions, KeySource};
pub use prepared::{Prepared, SdModel, Setup, files_of};
pub use reference::{EngineRef, PocketWeights};
