//! An interactive shell of Linux on a terminal: a kernel from the cache of `cargo xtask guests`, busybox from the host.
//! Where they are not there, the tests say so and pass.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::hako::Folder;
use crate::terminal::Terminal;

/// The small kernel and a RAM disk with busybox, as options.
fn linux(folder: &Folder) -> Option<[String; 3]> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    let kernel = cache.join("hako/guests/tiny/smp-acpi/vmlinux");
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().find_map(|path| fs::read(path).ok());
    let (true, Some(busybox)) = (kernel.exists(), busybox) else {
        eprintln!("not tested: a kernel (cargo xtask guests --tiny-kernel) or busybox is not there");
        return None;
    };
    let ram_disk = folder.file("initrd", &archive(&busybox));
    Some([kernel.to_str()?.into(), "--initrd".into(), ram_disk])
}

const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec setsid cttyhack sh
";

/// An archive as the kernel unpacks it: cpio, "new" format.
fn archive(busybox: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let folders = ["bin", "dev", "proc", "sys", "tmp"].map(|name| (name, 0o40755, &[][..]));
    let files = [("bin/busybox", 0o100755, busybox), ("init", 0o100755, INIT.as_bytes())];
    let end = ("TRAILER!!!", 0, &[][..]);
    for (inode, (name, mode, data)) in (1..).zip(folders.into_iter().chain(files).chain([end])) {
        bytes.extend(b"070701");
        let fields = [inode, mode, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, name.len() + 1, 0];
        fields.iter().for_each(|field| write!(bytes, "{field:08x}").unwrap());
        bytes.extend(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// Reads what the guest says until `text`, for as long as a busy host may take to boot Linux.
fn until(child: &mut Child, text: &str) -> String {
    let out = child.stdout.as_mut().unwrap();
    let begin = Instant::now();
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(text.as_bytes()) {
        let mut poll = libc::pollfd { fd: out.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor, open, is looked at for a second at most.
        let ready = unsafe { libc::poll(&mut poll, 1, 1000) } == 1;
        let ended = ready && out.read(&mut byte).unwrap() == 0;
        if ended || begin.elapsed() > Duration::from_secs(120) {
            let _ = child.kill();
            panic!("{text:?} is not in {}", String::from_utf8_lossy(&said));
        }
        said.extend(ready.then_some(byte[0]));
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn a_shell_on_the_virtio_console_knows_the_terminals_size_and_hears_of_a_new_one() {
    let folder = Folder::new();
    let Some(linux) = linux(&folder) else { return };
    let mut terminal = Terminal::open();
    terminal.resize(132, 43);
    let mut args = vec!["run", "--engine", "soft", "--console", "stdio", "--serial", "none"];
    args.extend(["--append", "console=hvc0 quiet"]);
    args.extend(linux.iter().map(String::as_str));
    let mut child = terminal.start(&args);
    until(&mut child, "/ # ");
    terminal.type_keys(b"echo size $(stty size) it\r");
    until(&mut child, "size 43 132 it");
    terminal.resize(100, 30);
    // SAFETY: sends a signal to our own child, as the kernel does where the terminal is the controlling one.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGWINCH) }, 0);
    until(&mut child, "/ # ");
    terminal.type_keys(b"until test \"$(stty size)\" = '30 100'; do sleep 0.1; done; echo lar''ger\r");
    until(&mut child, "larger");
    until(&mut child, "/ # ");
    terminal.type_keys(b"poweroff -f\r");
    terminal.end(child).expect(0);
}

#[test]
fn a_long_paste_into_a_shell_arrives_complete() {
    let paste: Vec<u8> =
        (0..0x1_0000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x20).collect();
    for (console, name) in [(&["--console", "stdio", "--serial", "none"][..], "hvc0"), (&[], "ttyS0")] {
        let folder = Folder::new();
        let Some(linux) = linux(&folder) else { return };
        let mut terminal = Terminal::open();
        let append = format!("console={name} quiet");
        let mut args = vec!["run", "--engine", "soft", "--append", &append];
        args.extend(console);
        args.extend(linux.iter().map(String::as_str));
        let mut child = terminal.start(&args);
        until(&mut child, "/ # ");
        terminal.type_keys(b"stty raw -echo; echo rea''dy; head -c 65536 | md5sum; stty sane\r");
        until(&mut child, "ready");
        let mut user = terminal.user.try_clone().unwrap();
        let typed = paste.clone();
        let typist = std::thread::spawn(move || user.write_all(&typed).unwrap());
        until(&mut child, &digest(&paste));
        typist.join().unwrap();
        until(&mut child, "/ # ");
        terminal.type_keys(b"\x01x");
        terminal.end(child).expect(130);
    }
}

/// What the host says is the MD5 digest of these bytes.
fn digest(bytes: &[u8]) -> String {
    let mut child = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let out = child.wait_with_output().unwrap().stdout;
    String::from_utf8_lossy(&out).split_whitespace().next().unwrap_or_default().to_owned()
}
