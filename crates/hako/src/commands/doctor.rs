//! `hako doctor`: what this machine offers, and how to fix what is missing.

use std::env;
use std::path::Path;

use hako_engine_kvm::{CpuidModel, Probe, cpuid_extras, probe};
use hako_machine::{seabios, vga_rom};

use crate::out;

/// How a finding is marked.
enum Mark {
    Good,
    Slow,
    Missing,
}

/// Prints the table. Finding something missing is no failure: hako works without all of it.
pub fn run() -> u8 {
    let mut text = String::new();
    let page = &mut text;
    heading(page, "engines");
    row(page, Mark::Good, "soft", "hako's own x86-64 CPU; needs nothing");
    let probe = probe();
    kvm(page, &probe);
    heading(page, "firmware");
    row(page, Mark::Good, "builtin", "hako's own BIOS services; needs no file");
    file(page, "seabios", seabios().as_deref(), "apt-get install seabios");
    file(page, "VGA option ROM", vga_rom().as_deref(), "apt-get install seabios (vgabios-isavga.bin)");
    heading(page, "tools that go well with hako (none is needed)");
    for (tool, use_, package) in TOOLS {
        match on_path(tool) {
            true => row(page, Mark::Good, tool, use_),
            false => row(page, Mark::Missing, tool, &format!("{use_}: apt-get install {package}")),
        }
    }
    out::finish(&text, 0)
}

const TOOLS: &[(&str, &str, &str)] = &[
    ("as", "assembles guests", "binutils"),
    ("nasm", "assembles guests in NASM's syntax", "nasm"),
    ("gdb", "debugs guests", "gdb"),
    ("qemu-system-x86_64", "a second opinion, and the rival in benchmarks", "qemu-system-x86"),
    ("bochs", "a third", "bochs bochs-term bochsbios vgabios"),
];

fn kvm(page: &mut String, probe: &Probe) {
    match &probe.usable {
        Ok(speed) => {
            let (ns, exit) = (speed.ring0_ns_per_instruction, speed.exit_ns / 1000.0);
            if speed.is_emulated() {
                row(
                    page,
                    Mark::Slow,
                    "kvm",
                    "/dev/kvm is there, but emulates ring 0 in software; --engine auto takes soft",
                );
            } else {
                row(
                    page,
                    Mark::Good,
                    "kvm",
                    "/dev/kvm is there and runs on hardware; --engine auto takes it",
                );
            }
            detail(page, "ring 0", &format!("{ns:.1} ns an instruction, {exit:.1} us a port access"));
        }
        Err(why) => row(page, Mark::Missing, "kvm", &why.to_string()),
    }
    for (name, value) in &probe.capabilities {
        let value = if *value == 0 { "no".into() } else { value.to_string() };
        detail(page, name.trim_start_matches("KVM_CAP_").to_ascii_lowercase().as_str(), &value);
    }
    if probe.usable.is_ok()
        && let Ok(extras) = cpuid_extras(&CpuidModel::default())
        && !extras.is_empty()
    {
        let list: Vec<String> =
            extras.iter().map(|e| format!("{:#x}.{}.{:?}:{:#x}", e.leaf, e.subleaf, e.reg, e.bits)).collect();
        detail(page, "cpuid bits that it adds on its own", &list.join(" "));
    }
}

fn heading(page: &mut String, text: &str) {
    *page += &format!("{text}\n");
}

fn row(page: &mut String, mark: Mark, name: &str, text: &str) {
    let mark = match mark {
        Mark::Good => "ok  ",
        Mark::Slow => "slow",
        Mark::Missing => "-   ",
    };
    *page += &format!("  {mark} {name:20} {text}\n");
}

fn detail(page: &mut String, name: &str, text: &str) {
    *page += &format!("         {name:18} {text}\n");
}

fn file(page: &mut String, name: &str, found: Option<&Path>, remedy: &str) {
    match found {
        Some(path) => row(page, Mark::Good, name, &path.display().to_string()),
        None => row(page, Mark::Missing, name, &format!("not found: {remedy}")),
    }
}

fn on_path(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
}
