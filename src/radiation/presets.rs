//! Files that the program holds, found by name.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::RadiationError;
use super::error::Contradiction;
use crate::data::{SourceText, did_you_mean, parse_ron, read_ron};

/// Name and text of an embedded file.
type Embedded = (&'static str, &'static str);

macro_rules! embed {
    ($folder:literal: $($name:literal),* $(,)?) => {
        [$((
            $name,
            include_str!(concat!("../../hw_configs/", $folder, "/", $name, ".ron")),
        )),*]
    };
}

pub(super) const ENVIRONMENTS: [Embedded; 3] =
    embed!("environments": "nyc_sea_level", "avionics_40kft", "hgcal_heh_max");

pub(super) const CLUSTERS: [Embedded; 5] = embed!(
    "clusters": "mcu_28nm_xil7_cram",
    "mcu_28nm_xil7_cram_lowcount",
    "mcu_sram16Mb_lelape_ex1",
    "mcu_16nm_finfet_max3",
    "mbu_burst8_seed004",
);

pub(super) const MEMORIES: [Embedded; 17] = embed!(
    "memories": "virtex5_bram",
    "virtex6_bram",
    "kintex7_bram",
    "kintex7_cram",
    "ultrascale_bram",
    "ultrascale_cram",
    "ultrascaleplus_bram",
    "ultrascaleplus_cram",
    "zu9eg_ocm",
    "zu9eg_cache",
    "artix7_cram_litval",
    "kintexusp_geo_ff",
    "kintexusp_geo_bram",
    "kintexusp_geo_cram",
    "rtpf_lsram",
    "fkeras_econt_paper",
    "econ_heh_max",
);

/// A file that is found by its name or another name of it.
pub(super) trait Named: DeserializeOwned {
    /// Other names.
    fn aliases(&self) -> &[String];
    /// What cannot be seen while a file is read.
    fn contradiction(&self) -> Option<Contradiction> {
        None
    }
}

/// The preset of that name or alias, or the file of that path.
pub(super) fn find<T: Named>(
    what: &'static str,
    presets: &[Embedded],
    name: &str,
    folder: &Path,
    expected: &'static str,
) -> Result<T, RadiationError> {
    let parse = |(name, text): &Embedded| -> Result<T, RadiationError> {
        Ok(parse_ron(
            &SourceText::new(format!("{name}.ron"), *text),
            expected,
        )?)
    };
    if let Some(preset) = presets.iter().find(|(preset, _)| *preset == name) {
        return parse(preset);
    }
    if Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "ron")
    {
        let (file, source) = read_ron::<T>(&folder.join(name), expected)?;
        return match file.contradiction() {
            Some(contradiction) => Err(contradiction.in_file(&source)),
            None => Ok(file),
        };
    }
    let mut aliases = Vec::new();
    for preset in presets {
        let file = parse(preset)?;
        if file.aliases().iter().any(|alias| alias == name) {
            return Ok(file);
        }
        aliases.extend_from_slice(file.aliases());
    }
    let names = presets.iter().map(|(preset, _)| *preset);
    let names = names.chain(aliases.iter().map(String::as_str));
    Err(RadiationError::Unknown {
        what,
        name: name.to_owned(),
        near: did_you_mean(name, names),
        known: presets
            .iter()
            .map(|(preset, _)| *preset)
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// Names of a preset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name of its file.
    pub name: &'static str,
    /// Other names.
    pub aliases: Vec<String>,
}

/// Names of all presets of a sort.
pub(super) fn names<T: Named>(presets: &[Embedded], expected: &'static str) -> Vec<Preset> {
    presets
        .iter()
        .map(|(name, text)| Preset {
            name,
            aliases: parse_ron::<T>(&SourceText::new(*name, *text), expected)
                .map(|file| file.aliases().to_vec())
                .unwrap_or_default(),
        })
        .collect()
}
