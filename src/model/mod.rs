//! Model folders: a network with its data, readout and loss, named by one `model.ron`.

mod description;
mod embedded;
mod files;
mod workload;

pub use description::{Description, ModelError};
pub use embedded::EMBEDDED_NAME;
pub use files::Files;
pub use workload::{InputSet, Located, Settings, Workload, WorkloadError, load_network};
