//! The programs and files that xtask needs from Debian packages, the cargo commands it runs, and where things are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// Something from a Debian package: a program on the PATH or a file.
pub struct Need {
    /// The program's name, or a path starting with '/'.
    pub what: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
}

/// The assembler and linker that build the guests.
pub const BINUTILS: Need = Need { what: "as", package: "binutils" };
/// SeaBIOS, both image sizes, and the VGA option ROM.
pub const SEABIOS: Need = Need { what: "/usr/share/seabios/bios.bin", package: "seabios" };
/// GRUB's boot sector and core image, for the boot-loader tests.
pub const GRUB: Need = Need { what: "/usr/lib/grub/i386-pc/boot.img", package: "grub-pc-bin" };
/// Writes core images and rescue discs.
pub const GRUB_TOOLS: Need = Need { what: "grub-mkimage", package: "grub-common" };
/// syslinux's boot sectors.
pub const SYSLINUX: Need = Need { what: "/usr/lib/syslinux/mbr/mbr.bin", package: "syslinux-common" };
/// Installs syslinux into a FAT image without mounting it.
pub const SYSLINUX_INSTALLER: Need = Need { what: "syslinux", package: "syslinux" };
/// isolinux's boot sector.
pub const ISOLINUX: Need = Need { what: "/usr/lib/ISOLINUX/isolinux.bin", package: "isolinux" };
/// Makes CD images, also for grub-mkrescue.
pub const XORRISO: Need = Need { what: "xorriso", package: "xorriso" };
/// Makes FAT images.
pub const MTOOLS: Need = Need { what: "mcopy", package: "mtools" };
/// Unpacks Debian's generic kernel.
pub const XZ: Need = Need { what: "xz", package: "xz-utils" };
/// Makes ext2 file systems and fills them.
pub const MKE2FS: Need = Need { what: "mke2fs", package: "e2fsprogs" };
/// What building a kernel takes.
pub const KERNEL_BUILD: [Need; 7] = [
    Need { what: "gcc", package: "gcc" },
    Need { what: "make", package: "make" },
    Need { what: "flex", package: "flex" },
    Need { what: "bison", package: "bison" },
    Need { what: "bc", package: "bc" },
    Need { what: "/usr/include/libelf.h", package: "libelf-dev" },
    XZ,
];
/// Makes and checks qcow2 images.
pub const QEMU_IMG: Need = Need { what: "qemu-img", package: "qemu-utils" };
/// Takes ACPI tables apart.
pub const IASL: Need = Need { what: "iasl", package: "acpica-tools" };
/// The rival with a translator.
pub const QEMU: Need = Need { what: "qemu-system-x86_64", package: "qemu-system-x86" };
/// The rival with an interpreter.
pub const BOCHS: Need = Need { what: "bochs-bin", package: "bochs" };
/// Its display without a window.
pub const BOCHS_TERM: Need =
    Need { what: "/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so.0.0.0", package: "bochs-term" };
/// Its BIOS.
pub const BOCHS_BIOS: Need = Need { what: "/usr/share/bochs/BIOS-bochs-latest", package: "bochsbios" };
/// Its VGA BIOS.
pub const BOCHS_VGA: Need = Need { what: "/usr/share/bochs/VGABIOS-lgpl-latest", package: "vgabios" };

impl Need {
    /// Whether it is there.
    pub fn present(&self) -> bool {
        if self.what.starts_with('/') {
            return Path::new(self.what).exists();
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
        env::split_paths(&path).chain(sbin).any(|dir| dir.join(self.what).is_file())
    }
}

/// Installs the packages of whatever is missing; says in one line what to do where it may not.
pub fn ensure(needs: &[Need]) -> Outcome {
    let mut packages: Vec<&str> = needs.iter().filter(|n| !n.present()).map(|n| n.package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    eprintln!("xtask: installing Debian packages: {list}");
    let as_root = env::var("USER").is_ok_and(|u| u == "root") || Path::new("/root").read_dir().is_ok();
    let apt = |args: &[&str]| {
        let mut command = if as_root { Command::new("apt-get") } else { Command::new("sudo") };
        if !as_root {
            command.args(["-n", "apt-get"]);
        }
        command
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command.status().is_ok_and(|s| s.success())
    };
    let install: Vec<&str> = ["install", "-y", "-q", "--no-install-recommends"]
        .into_iter()
        .chain(packages.iter().copied())
        .collect();
    if apt(&install) || (apt(&["update", "-q"]) && apt(&install)) {
        return Ok(());
    }
    Err(format!("these Debian packages are missing: sudo apt-get install {list}"))
}

/// The root of the source tree.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Free bytes on the file system that cargo builds on; `None` where `df` cannot say.
pub fn free_disk() -> Option<u64> {
    let built = target();
    let place = if built.exists() { built } else { root() };
    let df = Command::new("df").args(["--output=avail", "-B1"]).arg(place).output().ok()?;
    String::from_utf8(df.stdout).ok()?.lines().nth(1)?.trim().parse().ok()
}

/// A word about the disk where less than `wanted` bytes of it are free. Linkers that run out of it die of signals and say nothing.
pub fn short_of_disk(wanted: u64) -> Option<String> {
    const MIB: u64 = 1 << 20;
    let free = free_disk().filter(|free| *free < wanted)?;
    let place = target();
    Some(format!(
        "only {} MiB are free on the disk of {}, some {} MiB are wanted: make room, or give CARGO_TARGET_DIR",
        free / MIB,
        place.display(),
        wanted / MIB
    ))
}

/// Runs cargo in the root with its output shown.
pub fn cargo(args: &[&str]) -> Outcome {
    eprintln!("xtask: cargo {}", args.join(" "));
    run(Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(args))
}

/// Runs a command in the root; an error names it.
pub fn run(command: &mut Command) -> Outcome {
    command.current_dir(root());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(why) => Err(format!("{command:?} did not start: {why}")),
    }
}

/// Builds hako as users build it and returns the binary's path.
pub fn hako() -> Result<PathBuf, String> {
    cargo(&["build", "--release", "--package", "hako"])?;
    Ok(target().join("release/hako"))
}
