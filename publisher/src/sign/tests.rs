//! Keys and signatures, as far as they can be tried without another program.

use super::*;
use crate::report::Mode;

fn load(folder: &Path) -> Result<Signer, SignError> {
    Signer::load_or_make_in(folder, &Reporter::new(Mode::Quiet))
}

#[test]
fn the_key_is_made_once_and_stays() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("config/groundswell");
    let first = load(&folder).unwrap();
    let secret = fs::read(folder.join(SECRET)).unwrap();
    let again = load(&folder).unwrap();
    assert_eq!(first.public_key(), again.public_key());
    assert_eq!(fs::read(folder.join(SECRET)).unwrap(), secret);
    assert_eq!(fs::read(folder.join(PUBLIC)).unwrap(), first.public_file());
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        2,
        "nothing is left over"
    );
    assert!(!format!("{first:?}").contains("secret"), "{first:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.join(SECRET)), 0o600);
        assert_eq!(mode(&folder), 0o700);
    }
    fs::remove_file(folder.join(PUBLIC)).unwrap();
    load(&folder).unwrap();
    assert_eq!(fs::read(folder.join(PUBLIC)).unwrap(), first.public_file());
}

#[test]
fn a_signature_is_of_these_bytes_and_this_comment() {
    let home = tempfile::tempdir().unwrap();
    let signer = load(home.path()).unwrap();
    let now = Timestamp::from_second(1_795_000_000).unwrap();
    let comment = catalog_comment(now, 7);
    let signature = signer.sign(b"catalog", &comment).unwrap();
    assert!(
        signature.contains("trusted comment: timestamp:1795000000\tfile:catalog.json\tserial:7\n"),
        "{signature}"
    );
    assert!(signer.verifies(b"catalog", &signature));
    assert!(!signer.verifies(b"catalog!", &signature));
    let file = String::from_utf8(signer.public_file().to_vec()).unwrap();
    for key in [
        file.as_str(),
        &signer.public_key(),
        &file.replace('\n', "\r\n"),
    ] {
        verify(key, b"catalog", &signature).unwrap();
        verify(key, b"catalog!", &signature).unwrap_err();
    }
    for key in ["", "x", "é", "untrusted comment: x\n"] {
        let error = verify(key, b"catalog", &signature).unwrap_err();
        assert!(error.contains("public key"), "{error}");
    }
    assert!(!signer.verifies(b"catalog", &signature.replace("serial:7", "serial:8")));
    let other = tempfile::tempdir().unwrap();
    assert!(!load(other.path()).unwrap().verifies(b"catalog", &signature));
    // A comment can't bring lines of its own, and blanks at its ends are no trap.
    let odd = signer.sign(b"x", " a\ntrusted comment: b\r\n").unwrap();
    assert_eq!(odd.lines().count(), 4, "{odd}");
    assert!(signer.verifies(b"x", &odd));
}

#[test]
fn nonsense_verifies_nothing() {
    let home = tempfile::tempdir().unwrap();
    let signer = load(home.path()).unwrap();
    let good = signer.sign(b"x", "c").unwrap();
    for cut in 0..good.len() - 1 {
        assert!(!signer.verifies(b"x", &good[..cut]), "{cut}");
    }
    let lines: Vec<&str> = good.lines().collect();
    for line in 0..4 {
        for text in ["", "AAAA", "é", "untrusted comment: ", &"A".repeat(500)] {
            let mut bad = lines.clone();
            bad[line] = text;
            let free = line == 0 && text == "untrusted comment: ";
            assert_eq!(
                signer.verifies(b"x", &bad.join("\n")),
                free,
                "{line} {text}"
            );
        }
    }
}

#[test]
fn a_key_that_cannot_sign_is_told_with_its_remedy_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    load(home.path()).unwrap();
    let (secret, public) = (home.path().join(SECRET), home.path().join(PUBLIC));
    let good = fs::read_to_string(&secret).unwrap();
    let key = good.lines().nth(1).unwrap();
    let mut bytes = BASE64.decode(key.as_bytes()).unwrap();
    let with = |bytes: &[u8]| format!("untrusted comment: x\n{}\n", BASE64.encode(bytes));
    bytes[60] ^= 1;
    let damaged = with(&bytes);
    bytes[60] ^= 1;
    bytes[2..4].copy_from_slice(b"Sc");
    let locked = with(&bytes);
    for (text, reason) in [
        ("", "put back the backup"),
        ("hello\n", "put back the backup"),
        ("untrusted comment: x\nAAAA\n", "put back the backup"),
        (damaged.as_str(), "Corrupted"),
        (locked.as_str(), "minisign -C -W -s"),
    ] {
        fs::write(&secret, text).unwrap();
        let error = load(home.path()).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(SECRET), "{error}");
        assert_eq!(fs::read_to_string(&secret).unwrap(), text, "left alone");
    }
    fs::write(&secret, [0xff; 80]).unwrap();
    assert!(matches!(load(home.path()), Err(SignError::BadKey { .. })));
    fs::remove_file(&secret).unwrap();
    assert!(matches!(
        load(home.path()),
        Err(SignError::SecretGone { .. })
    ));
    assert!(!secret.exists(), "no second key");
    fs::write(&secret, &good).unwrap();
    let other = tempfile::tempdir().unwrap();
    fs::write(&public, load(other.path()).unwrap().public_file()).unwrap();
    assert!(matches!(load(home.path()), Err(SignError::NotAPair { .. })));
    fs::write(&public, "nonsense").unwrap();
    assert!(matches!(load(home.path()), Err(SignError::NotAPair { .. })));
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = load(&file.join("groundswell")).unwrap_err().to_string();
    assert!(error.contains("minisign"), "{error}");
}

#[test]
fn whoever_is_first_makes_the_key() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(SECRET);
    make(&path).unwrap();
    let first = fs::read(&path).unwrap();
    make(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
}
