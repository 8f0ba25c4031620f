//! Parts of a campaign joined into the whole.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CampaignReport, Manifest, Program, Request, Session, StudyError};
use crate::campaign::Shard;
use crate::data::sha256_of;

/// Joins the folders of all parts of one campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MergeRequest {
    /// The folders, in any order.
    pub parts: Vec<PathBuf>,
}

/// A part: its folder, what the folder says of itself, and which part it is.
struct Part {
    path: PathBuf,
    manifest: Manifest,
    shard: Shard,
}

impl Part {
    fn read(path: &Path) -> Result<Self, StudyError> {
        const EXPECTED: &str = "the folder of a part of a campaign, made of one part of its trials";
        let manifest = Manifest::of_folder(path).ok_or_else(|| {
            StudyError::refused(
                format!(
                    "{}: has no manifest that can be read",
                    path.join(Manifest::FILE).display()
                ),
                EXPECTED,
            )
        })?;
        let shard = manifest.shard.as_deref().and_then(|text| text.parse().ok());
        let Some(shard) = shard else {
            return Err(StudyError::refused(
                format!(
                    "{}: holds a whole study of the kind `{}`, not a part of one",
                    path.display(),
                    manifest.kind
                ),
                EXPECTED,
            ));
        };
        let part = Self {
            path: path.to_owned(),
            manifest,
            shard,
        };
        part.check_files()?;
        Ok(part)
    }

    /// Refuses a part that is not finished, or was changed since.
    fn check_files(&self) -> Result<(), StudyError> {
        let manifest = &self.manifest;
        if manifest.finished.is_none() || manifest.phases.iter().any(|phase| !phase.done) {
            return Err(StudyError::refused(
                format!("{}: part {} is not finished", self.path.display(), self.shard),
                format!(
                    "finished parts; finish it with its own command: {}",
                    manifest.command_line.join(" ")
                ),
            ));
        }
        for file in manifest.files() {
            let place = self.path.join(&file.path);
            let problem = match sha256_of(&place) {
                Err(error) => format!("cannot be read: {error}"),
                Ok(hash) if file.sha256.as_ref() != Some(&hash) => {
                    "was changed since the campaign wrote it".to_owned()
                }
                Ok(_) => continue,
            };
            return Err(StudyError::refused(
                format!("{}: {problem}", place.display()),
                format!(
                    "the files of part {} as they were written; run it again",
                    self.shard
                ),
            ));
        }
        Ok(())
    }

    /// The request of the whole campaign.
    fn whole(&self) -> Value {
        let mut request = self.manifest.request.clone();
        if let Some(fields) = request.as_object_mut() {
            fields.insert("shard".to_owned(), Value::Null);
        }
        request
    }

    /// Refuses a part of another campaign than that of `first`.
    fn check_like(&self, first: &Self) -> Result<(), StudyError> {
        let (this, that) = (&self.manifest, &first.manifest);
        let of = |program: &Program| format!("{} ({})", program.version, program.commit);
        let differs = if this.kind != that.kind {
            format!("its kind is `{}`, not `{}`", this.kind, that.kind)
        } else if this.program != that.program {
            format!(
                "it was written by version {}, the other by {}",
                of(&this.program),
                of(&that.program)
            )
        } else if self.shard.of != first.shard.of {
            format!("it is part {}, and the other part {}", self.shard, first.shard)
        } else if self.whole() != first.whole() {
            format!(
                "its request differs: {}",
                request_difference(&first.whole(), &self.whole())
            )
        } else if let Some(file) = this.inputs.iter().find(|file| !that.inputs.contains(file)) {
            format!("it read {} with other contents", file.path)
        } else if this.inputs.len() != that.inputs.len() || this.provenance != that.provenance {
            "it was measured on other inputs".to_owned()
        } else {
            // What all parts compute alike has to be alike.
            let shared = this.phases.iter().find(|phase| {
                that.phase(&phase.name).is_some_and(|other| {
                    phase.name != "report"
                        && other.fingerprint == phase.fingerprint
                        && other.files != phase.files
                })
            });
            match shared {
                Some(phase) if self.shard.of > 1 => {
                    format!("its {} came out otherwise", phase.name)
                }
                _ => return Ok(()),
            }
        };
        Err(StudyError::refused(
            format!(
                "{} is no part of the campaign of {}: {differs}",
                self.path.display(),
                first.path.display()
            ),
            "parts that differ in nothing but which part they are",
        ))
    }
}

/// The first things in which two requests differ.
fn request_difference(was: &Value, is: &Value) -> String {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => {
            let keys: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            let of = |object: &serde_json::Map<String, Value>, key: &str| {
                object.get(key).cloned().unwrap_or_default()
            };
            let differing = keys.into_iter().find(|key| of(was, key) != of(is, key));
            differing.map_or_else(String::new, |key| {
                let (was, is) = (of(was, key), of(is, key));
                if was.is_object() && is.is_object() {
                    format!("{key}.{}", request_difference(&was, &is))
                } else {
                    format!("{key} is {is}, the other's {was}")
                }
            })
        }
        _ => format!("{is}, the other's {was}"),
    }
}

impl MergeRequest {
    /// Joins the records and makes the report of the whole campaign, as if it had been run in one piece.
    ///
    /// # Errors
    /// [`StudyError`]; among others where a part is missing, doubled, unfinished, changed, or of another
    /// campaign.
    pub fn run(&self, session: &Session) -> Result<CampaignReport, StudyError> {
        let parts = self.parts()?;
        let first = &parts[0].manifest;
        check_inputs(first)?;
        let out = session.folder_of(&first.kind, &first.name);
        let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(part) = parts.iter().find(|part| absolute(&part.path) == absolute(&out)) {
            return Err(StudyError::refused(
                format!("{} is part {} itself", out.display(), part.shard),
                "a folder of its own for the whole campaign; choose another folder",
            ));
        }
        let session = Session {
            folder: Some(out),
            parts: parts.iter().map(|part| part.path.clone()).collect(),
            ..session.clone()
        };
        let kind = first.kind.clone();
        let request = parts[0].whole();
        let of = |error: serde_json::Error| {
            StudyError::refused(
                format!("{}: the request: {error}", parts[0].path.display()),
                "the request of a campaign of this program",
            )
        };
        let whole = match Request::of_kind(&kind, request).map_err(of)? {
            Some(request) => request.run_campaign(&session)?,
            None => None,
        };
        whole.ok_or_else(|| {
            StudyError::refused(
                format!("a study of the kind `{kind}` has no parts"),
                "parts of a campaign",
            )
        })
    }

    /// All parts of one campaign in their order.
    fn parts(&self) -> Result<Vec<Part>, StudyError> {
        let mut parts = self
            .parts
            .iter()
            .map(|path| Part::read(path))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(first) = parts.first() else {
            return Err(StudyError::refused(
                "there is nothing to merge",
                "the folders of all parts of a campaign",
            ));
        };
        let this = Program::this();
        if first.manifest.program != this {
            return Err(StudyError::refused(
                format!(
                    "{}: was written by version {} ({}), this is {} ({})",
                    first.path.display(),
                    first.manifest.program.version,
                    first.manifest.program.commit,
                    this.version,
                    this.commit
                ),
                "parts of this very program; merge them with the program that wrote them",
            ));
        }
        for part in &parts[1..] {
            part.check_like(first)?;
        }
        parts.sort_by_key(|part| part.shard.index);
        if let Some(pair) = parts
            .windows(2)
            .find(|pair| pair[0].shard.index == pair[1].shard.index)
        {
            return Err(StudyError::refused(
                format!(
                    "part {} is there twice: {} and {}",
                    pair[0].shard,
                    pair[0].path.display(),
                    pair[1].path.display()
                ),
                "each part once",
            ));
        }
        let of = parts[0].shard.of;
        if parts.len() as u64 != of {
            let has = |index: &u64| parts.iter().any(|part| part.shard.index == *index);
            let missing: Vec<String> = (1..=of)
                .filter(|index| !has(index))
                .take(10)
                .map(|index| Shard { index, of }.to_string())
                .collect();
            return Err(StudyError::refused(
                format!(
                    "{} of {of} parts are missing: {}",
                    of - parts.len() as u64,
                    missing.join(", ")
                ),
                "the folders of all parts",
            ));
        }
        Ok(parts)
    }
}

/// Refuses inputs that are other ones by now: the report of the whole campaign is made of them.
fn check_inputs(manifest: &Manifest) -> Result<(), StudyError> {
    for input in &manifest.inputs {
        if input.path.starts_with("embedded:") {
            continue;
        }
        let path = Path::new(&input.path);
        let problem = match sha256_of(path) {
            Err(error) => format!("cannot be read: {error}"),
            Ok(hash) if hash != input.sha256 => "was changed since the parts were run".to_owned(),
            Ok(_) => continue,
        };
        return Err(StudyError::refused(
            format!("{}: {problem}", path.display()),
            "the inputs of the parts, as they were, under the same names from this working directory",
        ));
    }
    Ok(())
}
