//! The publisher's key and what is signed with it: `catalog.json`, as minisign signs files, so that
//! `minisign -V` and every hub can tell that a catalog is ours.
//!
//! The key is made once, without a password (the publisher signs unattended), and never replaced: who
//! follows the channel knows it by this key. Not here: when to sign, where signatures lie.

use crate::report::Reporter;
use data_encoding::BASE64;
use jiff::Timestamp;
use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKey, SecretKeyBox, SignatureBox};
use serde_json::json;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};

/// The secret key's file name.
const SECRET: &str = "minisign.key";
/// The public key's file name.
const PUBLIC: &str = "minisign.pub";
/// Larger than any key file; what is larger is something else.
const KEY_BYTES: u64 = 4096;

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No place for the key.
    #[error(
        "there is no folder for the signing key: set HOME, or XDG_CONFIG_HOME to an absolute path"
    )]
    NoHome,
    /// A key file can't be read.
    #[error("read the signing key {}: {source}; make it readable for this user", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The secret key's file holds no key that can sign.
    #[error("{} is no usable signing key ({reason}); put back the backup of it", .path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The secret key asks for a password.
    #[error(
        "{} is protected by a password, and nobody is there to type it; take the password off with `minisign -C -W -s {}`",
        .0.display(), .0.display()
    )]
    Password(PathBuf),
    /// The public key is there, the secret one is not.
    #[error(
        "{} is there, but the secret key {} is gone; put back its backup, or remove the first to begin with a \
         new key, which those who follow the channel must then be told", .public.display(), .secret.display()
    )]
    SecretGone {
        /// The public key's file.
        public: PathBuf,
        /// Where the secret key was.
        secret: PathBuf,
    },
    /// The two files are not two halves of one key.
    #[error(
        "{} does not belong to {}: one of them was replaced; put back the right one", .public.display(), .secret.display()
    )]
    NotAPair {
        /// The public key's file.
        public: PathBuf,
        /// The secret key's file.
        secret: PathBuf,
    },
    /// The key can't be written.
    #[error("write the signing key {}: {source}; choose a folder that can be written with XDG_CONFIG_HOME", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No random bytes for a key or a signature.
    #[error("sign: {0}")]
    Sign(String),
}

/// Signs with the publisher's key.
pub struct Signer {
    secret: SecretKey,
    public: PublicKey,
    public_text: String,
}

// Not derived: the secret key prints itself.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("public", &self.public_key())
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the publisher's key from `$XDG_CONFIG_HOME/groundswell/` (else `~/.config/groundswell/`); the
    /// first time it is made there, and the reporter tells where, and to keep a backup.
    pub fn load_or_make(reporter: &Reporter) -> Result<Self, SignError> {
        Self::load_or_make_in(&folder()?, reporter)
    }

    /// The same in a folder of the caller's choice.
    pub fn load_or_make_in(folder: &Path, reporter: &Reporter) -> Result<Self, SignError> {
        let (secret_path, public_path) = (folder.join(SECRET), folder.join(PUBLIC));
        let public = read(&public_path)?;
        let mut made = false;
        let secret = match read(&secret_path)? {
            Some(text) => text,
            None if public.is_some() => {
                return Err(SignError::SecretGone {
                    public: public_path,
                    secret: secret_path,
                });
            }
            None => {
                make(&secret_path)?;
                made = true;
                // Another process may have been a moment faster: the file says whose key it is.
                read(&secret_path)?.ok_or_else(|| SignError::Read {
                    path: secret_path.clone(),
                    source: io::ErrorKind::NotFound.into(),
                })?
            }
        };
        let signer = Self::from_text(&secret_path, secret)?;
        match public {
            Some(text) if !signer.is_public_half(&text) => {
                return Err(SignError::NotAPair {
                    public: public_path,
                    secret: secret_path,
                });
            }
            Some(_) => {}
            None => {
                let written = store::atomic::write_atomic(&public_path, signer.public_file());
                // It follows from the secret key at any time, so a folder that is read only is no reason to
                // stop.
                if let (Err(error), true) = (written, made) {
                    return Err(SignError::Write {
                        path: error.path,
                        source: error.source,
                    });
                }
            }
        }
        if made {
            let path = secret_path.display().to_string();
            reporter.line(&format!(
                "  made the channel's signing key: {}\n  Keep a backup of this file: who follows the channel knows it by this key, and it can't be made again.",
                crate::report::one_line(&path)
            ));
            reporter
                .event(|| json!({"event": "key", "path": path, "public_key": signer.public_key()}));
        } else {
            warn_if_others_can_read(&secret_path, reporter);
        }
        Ok(signer)
    }

    fn from_text(path: &Path, text: String) -> Result<Self, SignError> {
        let bad = |reason: String| SignError::BadKey {
            path: path.to_owned(),
            reason,
        };
        let bytes = text
            .lines()
            .nth(1)
            .and_then(|line| BASE64.decode(line.trim().as_bytes()).ok())
            .ok_or_else(|| bad("it is not written as minisign writes keys".into()))?;
        // Signature algorithm, then the derivation of the password's key: zero without a password.
        match bytes.get(2..4) {
            Some([0, 0]) => {}
            Some(b"Sc") => return Err(SignError::Password(path.to_owned())),
            _ => return Err(bad("it is of a kind that is not known".into())),
        }
        let secret = SecretKeyBox::from(text)
            .into_unencrypted_secret_key()
            .map_err(|error| bad(error.to_string()))?;
        let public = PublicKey::from_secret_key(&secret).map_err(|error| bad(error.to_string()))?;
        let public_text = public
            .to_box()
            .map_err(|error| bad(error.to_string()))?
            .into_string();
        Ok(Self {
            secret,
            public,
            public_text,
        })
    }

    fn is_public_half(&self, text: &str) -> bool {
        PublicKeyBox::from(text.to_owned())
            .into_public_key()
            .is_ok_and(|public| public == self.public)
    }

    /// The public key in one line, as `minisign -P` takes it.
    pub fn public_key(&self) -> String {
        self.public.to_base64()
    }

    /// The public key's file, as `minisign -p` takes it.
    pub fn public_file(&self) -> &[u8] {
        self.public_text.as_bytes()
    }

    /// The `.minisig` of these bytes: prehashed, as minisign makes it. The trusted comment is signed, too;
    /// control characters other than tabs become spaces in it.
    pub fn sign(&self, bytes: &[u8], trusted_comment: &str) -> Result<String, SignError> {
        let comment: String = trusted_comment
            .chars()
            .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
            .collect();
        let signature = minisign::sign(
            Some(&self.public),
            &self.secret,
            Cursor::new(bytes),
            Some(comment.trim()),
            Some("signature by Groundswell"),
        );
        let signature = signature.map_err(|error| SignError::Sign(error.to_string()))?;
        Ok(signature.into_string())
    }

    /// Whether this is a signature of these bytes by this key.
    pub fn verifies(&self, bytes: &[u8], minisig: &str) -> bool {
        matches(&self.public, bytes, minisig).is_ok()
    }
}

/// Checks somebody's signature: `public_key` is a `minisign.pub`, or its second line alone.
///
/// # Errors
/// Why the signature proves nothing, as a clause for people.
pub fn verify(public_key: &str, bytes: &[u8], minisig: &str) -> Result<(), String> {
    let key = public_key.trim();
    let key = key.lines().next_back().unwrap_or_default();
    let public = PublicKey::from_base64(key.trim())
        .map_err(|_| "the public key is not one of minisign's".to_owned())?;
    matches(&public, bytes, minisig)
}

fn matches(public: &PublicKey, bytes: &[u8], minisig: &str) -> Result<(), String> {
    // The library takes the length of the comment's signature for granted.
    let is_whole = minisig
        .lines()
        .nth(3)
        .and_then(|line| BASE64.decode(line.trim().as_bytes()).ok())
        .is_some_and(|signature| signature.len() == 64);
    if !is_whole {
        return Err("it is no whole minisign signature".to_owned());
    }
    let signature = SignatureBox::from_string(minisig).map_err(|error| error.to_string())?;
    minisign::verify(public, &signature, Cursor::new(bytes), true, false, false)
        .map_err(|error| error.to_string())
}

/// What a catalog's signature says beside the catalog: when it was made, of what, and which serial.
pub fn catalog_comment(now: Timestamp, serial: u64) -> String {
    format!(
        "timestamp:{}\tfile:catalog.json\tserial:{serial}",
        now.as_second()
    )
}

/// `$XDG_CONFIG_HOME/groundswell`; a relative path there counts as none, as its specification wants.
fn folder() -> Result<PathBuf, SignError> {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    config
        .or_else(|| Some(home()?.join(".config")))
        .map(|config| config.join("groundswell"))
        .ok_or(SignError::NoHome)
}

/// A key file's text; nothing where there is no file.
fn read(path: &Path) -> Result<Option<String>, SignError> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?
            .take(KEY_BYTES)
            .read_to_string(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(SignError::BadKey {
            path: path.to_owned(),
            reason: "it is no text".into(),
        }),
        Err(source) => Err(SignError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes a key where there is none: whole or not at all, for its owner alone, and never in place of another.
fn make(path: &Path) -> Result<(), SignError> {
    let pair = KeyPair::generate_unencrypted_keypair()
        .map_err(|error| SignError::Sign(error.to_string()))?;
    let text = pair
        .sk
        .to_box(Some("Groundswell secret key"))
        .map_err(|error| SignError::Sign(error.to_string()))?
        .into_string();
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        // Readable for its owner alone from its first moment on.
        let mut file = tempfile::Builder::new()
            .prefix(".minisign-")
            .suffix(".tmp")
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => store::atomic::sync_folder(folder),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.error),
        }
    };
    write().map_err(|source| SignError::Write {
        path: path.to_owned(),
        source,
    })
}

fn warn_if_others_can_read(path: &Path, reporter: &Reporter) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let open = fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
        if open {
            let path = path.display();
            reporter.problem(
                "warning",
                &path.to_string(),
                &format!("others can read the signing key {path}; `chmod 600` it"),
            );
        }
    }
    #[cfg(not(unix))]
    let _ = (path, reporter);
}

#[cfg(test)]
mod tests;
