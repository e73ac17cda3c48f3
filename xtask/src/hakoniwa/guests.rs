//! What guests run in the microkernel: files for its boot archive, and the lines that describe them to its servers.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::{cost, io};
use crate::guests::cache::Cache;

/// A guest of the user's.
#[derive(Args, Clone, Debug, Default)]
pub struct Guests {
    /// A kernel to run as a guest: PVH, bzImage or Multiboot
    #[arg(long, value_name = "KERNEL")]
    guest: Option<PathBuf>,
    /// A disk for it, kept in memory; without --guest the built-in firmware boots it
    #[arg(long, value_name = "IMAGE")]
    disk: Option<PathBuf>,
    /// Its initial RAM disk
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Its command line
    #[arg(long, default_value = "console=ttyS0 root=/dev/vda1 rw")]
    append: String,
    /// MiB of RAM for it
    #[arg(long, default_value_t = 64)]
    ram: u32,
    /// The disk has the modern virtio interface instead of the legacy one
    #[arg(long)]
    modern: bool,
    /// Give it ACPI tables besides the MP table
    #[arg(long)]
    acpi: bool,
    /// Give it a virtio console, which gets what is typed instead of COM1
    #[arg(long)]
    console: bool,
    /// Processors
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    cpus: u8,
    /// So many of it in one server
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    count: u32,
    /// So many servers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    servers: u32,
}

/// What is typed at the serial line once the log has a text: the text, what is typed.
pub type Typed = (&'static str, &'static str);

/// A file of the archive: name and contents.
pub type File = (String, Vec<u8>);

impl Guests {
    /// The files that the archive needs for it; none without a guest.
    pub fn files(&self) -> Result<Vec<File>, String> {
        if self.guest.is_none() && self.disk.is_none() {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        let mut words = String::new();
        for (name, path) in [("kernel", &self.guest), ("disk", &self.disk), ("initrd", &self.initrd)] {
            if let Some(path) = path {
                files.push((name.to_string(), io(path, fs::read(path))?));
                words += &format!("{name}={name} ");
            }
        }
        words += &format!("cpus={} ", self.cpus);
        for (on, word) in [(self.modern, "modern "), (self.acpi, "acpi "), (self.console, "console ")] {
            words += if on { word } else { "" };
        }
        for server in 0..self.servers {
            let line = |n| {
                let name = server * self.count + n;
                format!("name=guest{name} memory={} {words}append={}\n", self.ram, self.append)
            };
            let lines: String = (0..self.count).map(line).collect();
            files.push((format!("hv{server}.cfg"), lines.into_bytes()));
        }
        Ok(files)
    }
}

/// The guests of the test: the Hello ROM, a boot sector under the built-in firmware, and the microkernel itself.
pub fn samples(kernel: &[u8], archive: Vec<u8>) -> Vec<File> {
    let image = |name| hako_guests::Guest::named(name).map(|g| g.image.to_vec()).unwrap_or_default();
    let samples = "name=rom bare=hello.rom\n\
                 name=sector memory=2 disk=mbr\n\
                 name=echo memory=2 disk=serial-irq\n\
                 name=other memory=2 disk=serial-irq\n\
                 name=mmio memory=2 testdev disk=mmio\n\
                 name=cr8 memory=2 disk=cr8\n\
                 name=tasks memory=2 disk=task-switch\n\
                 name=self memory=2 disk=self-modifying\n\
                 name=strings memory=2 disk=string-io\n\
                 name=nested memory=64 kernel=garden initrd=archive append=\n";
    let lines = format!("{samples}{}", cost::LINE);
    vec![
        ("hello.rom".into(), image("hello")),
        ("mbr".into(), image("print-a")),
        ("serial-irq".into(), image("serial-irq")),
        ("mmio".into(), image("mmio")),
        ("cr8".into(), image("cr8")),
        ("task-switch".into(), image("task-switch")),
        ("self-modifying".into(), image("self-modifying")),
        ("string-io".into(), image("string-io")),
        ("garden".into(), kernel.to_vec()),
        ("archive".into(), archive),
        ("hv0.cfg".into(), lines.into()),
    ]
}

/// What is typed meanwhile: Ctrl-A and a digit choose the guest, each of which echoes in capitals until an empty line.
pub const SAMPLES_HEAR: [Typed; 3] =
    [("other: ready", "\x013hello\n"), ("echo: HELLO", "\x014you too\n"), ("other: YOU TOO", "\n\x013\n")];

/// What the log of the samples must have.
pub const SAMPLES_SAY: [&str; 14] = [
    "cost: PASS",
    "cr8: PASS",
    "mmio: PASS",
    "tasks: PASS",
    "self: PASS",
    "strings: PASS",
    "input goes to other",
    "echo: PASS",
    "other: PASS",
    "rom: Hello KVM!",
    "rom: halted for good",
    "sector: A",
    "nested: [init] hakoniwa: verdict: ok",
    "[clock] verdict: ok",
];

/// Two guests with the small kernel and the disk that `cargo xtask guests` prepares, each in a server of its own; none
/// where they are not prepared.
pub fn linux() -> Result<Option<Guests>, String> {
    let cache = Cache::open()?;
    let [kernel, disk] = ["tiny/up-mptable/vmlinux", "disk/root.img"].map(|name| cache.path(name));
    if !kernel.exists() || !disk.exists() {
        return Ok(None);
    }
    Ok(Some(Guests {
        guest: Some(kernel),
        disk: Some(disk),
        append: "console=ttyS0 root=/dev/vda1 rw".into(),
        ram: 64,
        cpus: 1,
        count: 1,
        servers: 2,
        ..Guests::default()
    }))
}

/// A server with two guests: two processors, ACPI, modern virtio-blk and a virtio console; and a shell, where the
/// initial RAM disk of the stock kernel is prepared, which hears what is typed from its virtio console.
pub fn several() -> Result<Option<(Vec<File>, bool)>, String> {
    let cache = Cache::open()?;
    let [kernel, disk, initrd] =
        ["tiny/smp-acpi/vmlinux", "disk/root.img", "cloud/initramfs.cpio"].map(|name| cache.path(name));
    if !kernel.exists() || !disk.exists() {
        return Ok(None);
    }
    let shell = initrd.exists();
    let mut files = Vec::new();
    for (name, path) in [("kernel", &kernel), ("disk", &disk), ("initrd", &initrd)] {
        if path.exists() {
            files.push((name.to_string(), io(path, fs::read(path))?));
        }
    }
    let mut lines = "name=smp cpus=2 acpi modern console kernel=kernel disk=disk \
                     append=console=ttyS0 console=hvc0 root=/dev/vda1 rw\n"
        .to_string();
    if shell {
        lines += "name=shell acpi console kernel=kernel initrd=initrd append=console=hvc0\n";
    }
    files.push(("hv0.cfg".into(), lines.into_bytes()));
    Ok(Some((files, shell)))
}

/// What is typed for the shell, no more at once than a serial port keeps while the log is written.
pub const SHELL_HEARS: [Typed; 3] =
    [("shell: / #", "\x012"), ("input goes to shell", "echo $((6*7))\n"), ("shell: 42", "poweroff -f\n")];
/// What its log must have.
pub const SHELL_SAYS: [&str; 2] = ["shell: 42", "shell: switched itself off"];

/// What the log of the guest with two processors must have.
pub const SEVERAL_SAY: [&str; 4] = [
    "smp: smp: Brought up 1 node, 2 CPUs",
    "smp: hello from /sbin/init",
    "all guests have ended, 0 of them badly",
    "[clock] verdict: ok",
];

/// What the log of the two must have.
pub const LINUX_SAYS: [&str; 4] = [
    "guest0: Run /sbin/init as init process",
    "guest1: Run /sbin/init as init process",
    "all guests have ended, 0 of them badly",
    "[clock] verdict: ok",
];
