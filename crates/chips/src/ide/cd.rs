//! What the CD-ROM drive's commands answer, as bytes (SPC-2, MMC-2, SFF-8020i).

use alloc::vec::Vec;

use super::atapi::{SECTOR, Sense};

pub(super) const TEST_UNIT_READY: u8 = 0x00;
pub(super) const REQUEST_SENSE: u8 = 0x03;
pub(super) const INQUIRY: u8 = 0x12;
pub(super) const START_STOP: u8 = 0x1b;
pub(super) const PREVENT_REMOVAL: u8 = 0x1e;
pub(super) const READ_CAPACITY: u8 = 0x25;
pub(super) const READ_10: u8 = 0x28;
pub(super) const SEEK: u8 = 0x2b;
pub(super) const READ_TOC: u8 = 0x43;
pub(super) const GET_CONFIGURATION: u8 = 0x46;
pub(super) const GET_EVENT: u8 = 0x4a;
pub(super) const MODE_SENSE_10: u8 = 0x5a;
pub(super) const READ_12: u8 = 0xa8;

/// The only event class there is, as a bit of a request.
pub(super) const EVENT_CLASS_MEDIA: u8 = 1 << 4;
/// The track after the last one in a table of contents.
const LEAD_OUT: u8 = 0xaa;
/// ADR 1, data track, no copying.
const DATA_TRACK: u8 = 0x14;
/// More sectors than a CD of 80 minutes has: it is a DVD.
const LARGEST_CD: u32 = 80 * 60 * 75 + 7500;
const PROFILE_CD_ROM: u16 = 0x0008;
const PROFILE_DVD_ROM: u16 = 0x0010;

/// Fixed-format sense data, 18 bytes.
pub(super) fn sense_data(sense: Sense) -> Vec<u8> {
    let mut d = alloc::vec![0; 18];
    (d[0], d[2], d[7], d[12], d[13]) = (0x70, sense.key, 10, sense.code, sense.qualifier);
    d
}

/// Standard inquiry data, 36 bytes.
pub(super) fn inquiry() -> Vec<u8> {
    let mut d = alloc::vec![
        0x05, // CD-ROM
        0x80, // removable
        0x00, // no SCSI version
        0x21, // ATAPI
        31, 0, 0, 0,
    ];
    d.extend_from_slice(b"HAKO    ");
    d.extend_from_slice(b"CD-ROM          ");
    d.extend_from_slice(b"1.0 ");
    d
}

/// The last sector's number and the size of a sector.
pub(super) fn capacity(sectors: u32) -> Vec<u8> {
    [sectors.saturating_sub(1).to_be_bytes(), (SECTOR as u32).to_be_bytes()].concat()
}

/// Minute, second and frame of a sector; the disc begins at 00:02:00.
fn msf(lba: u32) -> [u8; 3] {
    let frames = lba.saturating_add(150);
    [(frames / 75 / 60) as u8, (frames / 75 % 60) as u8, (frames % 75) as u8]
}

/// A table of contents of one data track: format 0 the tracks from `first` on, 1 the sessions, 2 everything.
pub(super) fn toc(format: u8, in_msf: bool, first: u8, sectors: u32) -> Option<Vec<u8>> {
    let address = |lba: u32| {
        let [m, s, f] = msf(lba);
        if in_msf { [0, m, s, f] } else { lba.to_be_bytes() }
    };
    let track = |number: u8, lba: u32| {
        let mut t = alloc::vec![0, DATA_TRACK, number, 0];
        t.extend_from_slice(&address(lba));
        t
    };
    let point = |point: u8, [m, s, f]: [u8; 3]| alloc::vec![1, DATA_TRACK, 0, point, 0, 0, 0, 0, m, s, f];
    let body = match (format, first) {
        (0, 0 | 1) => [track(1, 0), track(LEAD_OUT, sectors)].concat(),
        (0, LEAD_OUT) => track(LEAD_OUT, sectors),
        (1, _) => track(1, 0),
        (2, _) => {
            [point(0xa0, [1, 0, 0]), point(0xa1, [1, 0, 0]), point(0xa2, msf(sectors)), point(1, msf(0))]
                .concat()
        }
        _ => return None,
    };
    let mut toc = (body.len() as u16 + 2).to_be_bytes().to_vec();
    toc.extend_from_slice(&[1, 1]);
    toc.extend(body);
    Some(toc)
}

/// The mode parameter header and page 1 (error recovery), 0x2a (capabilities) or both (0x3f). In a list of changeable
/// values nothing is.
pub(super) fn mode_pages(page: u8, changeable: bool, locked: bool, disc: bool) -> Option<Vec<u8>> {
    // Speeds are in kB/s, the buffer in KiB.
    let recovery = [0x01, 6, 0, 5, 0, 0, 0, 0];
    let lock = u8::from(locked) << 1;
    let capabilities = [
        0x2a,
        18,
        0x00,
        0x00,
        0x70,        // mode 2 form 1 and 2, multi-session
        0x00,        // no audio commands
        0x29 | lock, // tray, eject, lock
        0x00,
        0x02,
        0xc2, // 706 kB/s
        0,
        2,
        0x02,
        0x00, // 512 KiB
        0x02,
        0xc2,
        0,
        0,
        0,
        0,
    ];
    let mut pages: Vec<Vec<u8>> = match page {
        0x01 => [recovery.to_vec()].to_vec(),
        0x2a => [capabilities.to_vec()].to_vec(),
        0x3f => [recovery.to_vec(), capabilities.to_vec()].to_vec(),
        _ => return None,
    };
    if changeable {
        pages.iter_mut().for_each(|p| p[2..].fill(0));
    }
    let body = pages.concat();
    let mut out = (body.len() as u16 + 6).to_be_bytes().to_vec();
    out.extend_from_slice(&[if disc { 0x01 } else { 0x70 }, 0, 0, 0, 0, 0]);
    out.extend(body);
    Some(out)
}

/// The features from `first` on: request 0 all of them, 1 the current ones, 2 only `first`.
pub(super) fn configuration(request: u8, first: u16, disc: Option<u32>) -> Option<Vec<u8>> {
    let profile = match disc {
        None => 0,
        Some(sectors) if sectors > LARGEST_CD => PROFILE_DVD_ROM,
        Some(_) => PROFILE_CD_ROM,
    };
    let is = |p: u16| u8::from(profile == p);
    let mut list = Vec::new();
    for p in [PROFILE_DVD_ROM, PROFILE_CD_ROM] {
        list.extend_from_slice(&p.to_be_bytes());
        list.extend_from_slice(&[is(p), 0]);
    }
    let readable = u8::from(profile != 0);
    // Number, version/persistent/current, data.
    let features: [(u16, u8, &[u8]); 6] = [
        (0x0000, 0x03, &list),
        (0x0001, 0x0b, &[0, 0, 0, 2, 1, 0, 0, 0]),     // core: ATAPI
        (0x0003, 0x03, &[0x29, 0, 0, 0]),              // removable medium: tray, eject, lock
        (0x0010, readable, &[0, 0, 8, 0, 0, 1, 0, 0]), // random readable: 2048 bytes
        (0x001e, is(PROFILE_CD_ROM), &[0, 0, 0, 0]),
        (0x001f, is(PROFILE_DVD_ROM), &[0, 0, 0, 0]),
    ];
    let wanted = |number: u16, flags: u8| match request {
        0 => Some(number >= first),
        1 => Some(number >= first && flags & 1 != 0),
        2 => Some(number == first),
        _ => None,
    };
    let mut body = Vec::new();
    for (number, flags, data) in features {
        if wanted(number, flags)? {
            body.extend_from_slice(&number.to_be_bytes());
            body.extend_from_slice(&[flags, data.len() as u8]);
            body.extend_from_slice(data);
        }
    }
    let mut out = (body.len() as u32 + 4).to_be_bytes().to_vec();
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&profile.to_be_bytes());
    out.extend(body);
    Some(out)
}

/// The answer to GET EVENT STATUS NOTIFICATION.
pub(super) fn event(wanted: bool, new: bool, tray_open: bool, disc: bool) -> Vec<u8> {
    const NO_EVENT_AVAILABLE: u8 = 0x80;
    const MEDIA: u8 = 4;
    if !wanted {
        return alloc::vec![0, 2, NO_EVENT_AVAILABLE, EVENT_CLASS_MEDIA];
    }
    let code = match (new, disc) {
        (false, _) => 0,
        (true, true) => 2,
        (true, false) => 3,
    };
    alloc::vec![0, 6, MEDIA, EVENT_CLASS_MEDIA, code, u8::from(disc) << 1 | u8::from(tray_open), 0, 0]
}
