//! A Debian kernel: the bzImage, the vmlinux packed in it, its virtio modules, and an initial RAM disk with them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::cache::{Cache, at, copy};
use super::{initramfs, lz4, packages};
use crate::{Outcome, tools};

/// Makes `vmlinuz`, `vmlinux`, `initramfs.cpio` and `modules/` from the package that `meta` stands for.
pub fn prepare(cache: &Cache, name: &str, meta: &str) -> Outcome {
    cache.make(name, &["guests/linux/init.sh"], |folder| {
        let package = packages::unpack(cache, &packages::dependency(meta, "linux-image-")?)?;
        let vmlinuz = only_file(&package.path().join("boot"), "vmlinuz-")?;
        copy(&vmlinuz, &folder.join("vmlinuz"))?;
        let bytes = at(&vmlinuz, fs::read(&vmlinuz))?;
        let vmlinux = unpack(&bytes).map_err(|why| format!("{}: {why}", vmlinuz.display()))?;
        at(folder, fs::write(folder.join("vmlinux"), vmlinux))?;
        let modules = folder.join("modules");
        at(&modules, fs::create_dir(&modules))?;
        for module in initramfs::MODULES {
            let file = find(&package.path().join("lib/modules"), &format!("{module}.ko"))
                .ok_or_else(|| format!("{meta} has no module {module}"))?;
            copy(&file, &modules.join(format!("{module}.ko")))?;
        }
        initramfs::prepare(cache, &modules, &folder.join("initramfs.cpio"))
    })
}

/// The file in `folder` whose name begins with `prefix`.
fn only_file(folder: &Path, prefix: &str) -> Result<PathBuf, String> {
    let entries = at(folder, folder.read_dir())?;
    let mut paths = entries.flatten().map(|e| e.path());
    let fits = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix));
    paths.find(fits).ok_or_else(|| format!("{} has no {prefix}*", folder.display()))
}

/// The file called `name` somewhere below `folder`.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?;
    entries.flatten().map(|e| e.path()).find_map(|path| {
        if path.is_dir() {
            find(&path, name)
        } else {
            path.file_name().is_some_and(|n| n == name).then_some(path)
        }
    })
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(word)).ok()
}

/// The vmlinux in a bzImage: its payload, by the setup header's payload_offset and payload_length, unpacked.
fn unpack(image: &[u8]) -> Result<Vec<u8>, String> {
    let damaged = || "the setup header is damaged".to_owned();
    let sectors = usize::from(*image.get(0x1f1).ok_or_else(damaged)?).max(1);
    let start = (sectors + 1) * 512 + word(image, 0x248).ok_or_else(damaged)?;
    let len = word(image, 0x24c).ok_or_else(damaged)?;
    let payload = image.get(start..start.saturating_add(len)).ok_or_else(damaged)?;
    // The build appends the size of what is packed.
    let packed = payload.get(..payload.len().saturating_sub(4)).unwrap_or_default();
    match payload {
        [0x02, 0x21, 0x4c, 0x18, ..] => lz4::unpack(packed),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            tools::ensure(&[tools::XZ])?;
            filter(Command::new("xz").args(["--decompress", "--stdout", "--single-stream"]), payload)
        }
        [0x1f, 0x8b, ..] => filter(Command::new("gzip").args(["--decompress", "--stdout"]), payload),
        _ => Err("it is packed in a way that is not known here (known are LZ4, XZ and gzip)".into()),
    }
}

/// What a program makes of `input`.
fn filter(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |why: std::io::Error| format!("cannot run the unpacker: {why}");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
    let mut stdin = child.stdin.take().ok_or("the unpacker takes no input")?;
    let output = std::thread::scope(|scope| {
        // An unpacker that has seen the end of its stream may leave the rest unread.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output()
    });
    let output = output.map_err(failed)?;
    if output.stdout.is_empty() { Err("the unpacker gave nothing".into()) } else { Ok(output.stdout) }
}
