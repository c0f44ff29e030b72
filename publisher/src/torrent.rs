//! `publisher torrent`, `show` and `verify`: torrents without a channel.

use crate::args;
use crate::folder;
use crate::hash::with_progress;
use crate::page::labels::bytes_label;
use crate::report::{Reporter, one_line};
use anyhow::{Context, Result, anyhow, bail};
use metainfo::{Format, Info, Layout, Magnet, PieceLength, Torrent};
use serde_json::json;
use std::path::{Path, PathBuf};
use store::Want;

/// `publisher torrent`.
pub fn create(args: &args::Torrent, reporter: Reporter) -> Result<()> {
    let path = args
        .path
        .canonicalize()
        .with_context(|| format!("read {}", args.path.display()))?;
    let (Some(name), Some(root)) = (path.file_name(), path.parent()) else {
        bail!("{} has no name to give the torrent", args.path.display());
    };
    let name = name
        .to_str()
        .ok_or_else(|| anyhow!("{}: its name is not UTF-8; rename it", args.path.display()))?;
    for url in args.announce.iter().chain(&args.web_seed) {
        let known = ["http://", "https://", "udp://", "ws://", "wss://"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        if !known || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            bail!("`{}` is not a URL of a tracker or web seed", one_line(url));
        }
    }
    let format = Format::from(args.format);
    let piece_length = args
        .piece_length
        .map(PieceLength::power_of_two)
        .transpose()?;
    let layout = if path.is_dir() {
        let files = folder::files_below(&path)?;
        let files = files.into_iter().map(|file| (file.path, file.stat.bytes));
        Layout::folder(name, files, format, piece_length)
    } else {
        let length = std::fs::metadata(&path)
            .with_context(|| format!("read {}", path.display()))?
            .len();
        Layout::file(name, length, format, piece_length)
    };
    let layout = layout.with_context(|| args.path.display().to_string())?;
    let want = Want {
        pieces: format.has_v1(),
        roots: format.has_v2(),
    };
    let bytes = layout.map().total_length();
    let hashed = with_progress(&reporter, name, bytes, |progress| {
        store::hash(&layout, root, want, args.threads, progress)
    })?;
    let mut torrent = Torrent::new(Info::make(
        &layout,
        &hashed.hashes,
        args.private,
        args.source.as_deref(),
    ));
    torrent.announce = args.announce.iter().map(|url| vec![url.clone()]).collect();
    torrent.web_seeds = args.web_seed.clone();
    torrent.comment = args.comment.clone();
    torrent.created_by = Some(concat!("Groundswell/", env!("CARGO_PKG_VERSION")).into());
    torrent.piece_layers = hashed.hashes.piece_layers;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.torrent")));
    store::write_atomic(&output, &torrent.to_bytes())?;
    let magnet = Magnet::of(&torrent, None).to_string();
    reporter.line(&format!("wrote {}", output.display()));
    reporter.result(&magnet, || {
        json!({"event": "done", "torrent": output, "id": torrent.info.id(), "magnet": magnet,
               "info_hash_v1": torrent.info.info_hash_v1(), "info_hash_v2": torrent.info.info_hash_v2()})
    });
    Ok(())
}

/// `publisher show`.
pub fn show(torrent: &str, reporter: Reporter) -> Result<()> {
    if torrent
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("magnet:"))
    {
        return show_magnet(&torrent.parse()?, reporter);
    }
    let torrent = read(Path::new(torrent))?;
    let info = &torrent.info;
    let files: Vec<_> = info.files().iter().filter(|file| !file.pad).collect();
    let mut text = format!(
        "name          {}\ninfo-hash v1  {}\ninfo-hash v2  {}\nsize          {} in {} file{}\npieces        {} of {}\nprivate       {}",
        one_line(info.name()),
        info.info_hash_v1()
            .map_or_else(|| "none".into(), |hash| hash.to_string()),
        info.info_hash_v2()
            .map_or_else(|| "none".into(), |hash| hash.to_string()),
        bytes_label(info.payload_bytes()),
        files.len(),
        if files.len() == 1 { "" } else { "s" },
        info.geometry().n_pieces(),
        bytes_label(u64::from(info.geometry().piece_length().get())),
        if info.private() { "yes" } else { "no" },
    );
    let mut add =
        |what: &str, value: &str| text.push_str(&format!("\n{what:<13} {}", one_line(value)));
    torrent
        .announce
        .iter()
        .flatten()
        .for_each(|url| add("tracker", url));
    torrent
        .web_seeds
        .iter()
        .for_each(|url| add("web seed", url));
    torrent
        .comment
        .iter()
        .for_each(|comment| add("comment", comment));
    torrent
        .created_by
        .iter()
        .for_each(|program| add("created by", program));
    if !info.is_single_file() {
        files.iter().for_each(|file| {
            add(
                "file",
                &format!("{}  {}", file.path.join("/"), bytes_label(file.length)),
            );
        });
    }
    let magnet = Magnet::of(&torrent, None).to_string();
    add("magnet", &magnet);
    reporter.result(&text, || {
        json!({"event": "torrent", "name": info.name(), "format": info.format(), "id": info.id(),
               "info_hash_v1": info.info_hash_v1(), "info_hash_v2": info.info_hash_v2(),
               "bytes": info.payload_bytes(), "piece_length": info.geometry().piece_length().get(),
               "pieces": info.geometry().n_pieces(), "private": info.private(),
               "files": files.iter().map(|file| json!({"path": info.stored_path(file), "bytes": file.length}))
                   .collect::<Vec<_>>(),
               "announce": torrent.announce, "web_seeds": torrent.web_seeds, "comment": torrent.comment,
               "created_by": torrent.created_by, "magnet": magnet})
    });
    Ok(())
}

fn show_magnet(magnet: &Magnet, reporter: Reporter) -> Result<()> {
    let mut text = format!(
        "name          {}\ninfo-hash v1  {}\ninfo-hash v2  {}",
        one_line(magnet.name.as_deref().unwrap_or("none")),
        magnet
            .info_hash_v1
            .map_or_else(|| "none".into(), |hash| hash.to_string()),
        magnet
            .info_hash_v2
            .map_or_else(|| "none".into(), |hash| hash.to_string()),
    );
    let lists = [
        ("tracker", &magnet.trackers),
        ("web seed", &magnet.web_seeds),
        ("torrent", &magnet.sources),
        ("peer", &magnet.peers),
    ];
    for (what, value) in lists
        .iter()
        .flat_map(|(what, values)| values.iter().map(move |value| (what, value)))
    {
        text.push_str(&format!("\n{what:<13} {}", one_line(value)));
    }
    reporter.result(&text, || {
        json!({"event": "magnet", "name": magnet.name, "info_hash_v1": magnet.info_hash_v1,
               "info_hash_v2": magnet.info_hash_v2, "bytes": magnet.length, "announce": magnet.trackers,
               "web_seeds": magnet.web_seeds, "sources": magnet.sources, "peers": magnet.peers})
    });
    Ok(())
}

/// `publisher verify`: whether every byte is right.
pub fn verify(torrent: &Path, path: &Path, reporter: Reporter) -> Result<bool> {
    let info = read(torrent)?.info;
    let root = if path.file_name().is_some_and(|name| name == info.name()) {
        path.parent().unwrap_or(Path::new("")).to_owned()
    } else if path.join(info.name()).exists() {
        path.to_owned()
    } else {
        bail!(
            "{} is not `{}`, nor the folder that holds it",
            path.display(),
            one_line(info.name())
        );
    };
    let bytes = info.geometry().total_length();
    let verdict = with_progress(&reporter, info.name(), bytes, |progress| {
        store::verify(&info, &root, 0, progress)
    })?;
    for missing in &verdict.missing {
        reporter.problem(
            "error",
            &missing.to_string_lossy(),
            &format!("{} is missing or has another size", missing.display()),
        );
    }
    for bad in &verdict.bad_files {
        reporter.problem(
            "error",
            &bad.to_string_lossy(),
            &format!("{} holds wrong bytes", bad.display()),
        );
    }
    if verdict.is_whole() {
        reporter.line(&format!("every byte of {} is right", one_line(info.name())));
    }
    reporter.event(|| {
        json!({"event": "done", "whole": verdict.is_whole(), "missing": verdict.missing, "bad_files": verdict.bad_files,
               "bad_pieces": verdict.bad_pieces.iter().map(|piece| piece.get()).collect::<Vec<_>>()})
    });
    Ok(verdict.is_whole())
}

fn read(path: &Path) -> Result<Torrent> {
    let shown = path.display();
    let length = std::fs::metadata(path)
        .with_context(|| format!("read {shown}"))?
        .len();
    if length > metainfo::bencode::Limits::TORRENT.bytes as u64 {
        bail!(
            "{shown} is too large for a torrent file ({})",
            bytes_label(length)
        );
    }
    let bytes = std::fs::read(path).with_context(|| format!("read {shown}"))?;
    Torrent::parse(&bytes).with_context(|| format!("{shown} is not a torrent that can be used"))
}
