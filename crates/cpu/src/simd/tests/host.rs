//! The host CPU: one instruction with all registers that it may touch.
#![allow(unsafe_code)]

use std::vec::Vec;

use super::State;

/// Data at the same address on the host and in the guest; what the trampoline needs and the trampoline behind it.
pub const DATA: u64 = 0x1000_0000;
pub const DATA_LEN: usize = 0x200;
const CONTEXT: u64 = 0x1001_0000;
const CODE: u64 = 0x1002_0000;
/// One past all.
pub const END: u64 = CODE + 0x1000;

// Offsets in the context.
const FLAGS: u64 = 0x80;
const STACK: u64 = 0x88;
const OURS: u64 = 0x400;
const IMAGE: u64 = 0x800;
/// Where the handler of SIGFPE goes on.
const RESUME: u64 = 0xf00;
const RAISED: u64 = 0xf08;

/// The mapping at fixed addresses.
pub struct Host;

extern "C" fn on_fpe(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a ucontext_t; RESUME and RAISED lie in the mapping, which exists while code runs in it.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        context.uc_mcontext.gregs[libc::REG_RIP as usize] = *((CONTEXT + RESUME) as *const i64);
        *((CONTEXT + RAISED) as *mut u64) = 1;
    }
}

impl Host {
    pub fn new() -> Host {
        let (start, len) = (DATA as usize, (END - DATA) as usize);
        // SAFETY: a new private mapping at an address that the kernel refuses if anything is there; a handler that touches
        // its context and that mapping only.
        unsafe {
            let p = libc::mmap(
                start as *mut libc::c_void,
                len,
                libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                -1,
                0,
            );
            assert_eq!(p as usize, start, "the host has no room at the test's address");
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_fpe as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(libc::sigaction(libc::SIGFPE, &action, std::ptr::null_mut()), 0);
        }
        Host
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        // SAFETY: within the mapping of `new`; nothing else refers to it.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
    }

    pub fn read(&self, at: u64, bytes: &mut [u8]) {
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(at as *const u8, bytes.as_mut_ptr(), bytes.len()) };
    }

    fn word(&self, at: u64) -> u64 {
        let mut b = [0; 8];
        self.read(at, &mut b);
        u64::from_le_bytes(b)
    }

    /// Makes the code that loads a state, executes `instruction` and stores the state.
    pub fn prepare(&self, instruction: &[u8]) {
        let mut b: Vec<u8> = [0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57].into(); // push rbx, rbp, r12-r15
        let memory = |b: &mut Vec<u8>, op: &[u8], reg: u8, at: u64| {
            b.extend(op);
            b.extend([reg << 3 | 4, 0x25]);
            b.extend((CONTEXT as u32 + at as u32).to_le_bytes());
        };
        let move_all = |b: &mut Vec<u8>, op: u8| {
            for r in (0..16u8).filter(|r| *r != 4) {
                memory(b, &[0x48 | (r >> 3) << 2, op], r & 7, u64::from(r) * 8);
            }
        };
        memory(&mut b, &[0x48, 0x89], 4, STACK);
        memory(&mut b, &[0x48, 0x0f, 0xae], 0, OURS); // fxsave64
        memory(&mut b, &[0x48, 0x0f, 0xae], 1, IMAGE); // fxrstor64
        memory(&mut b, &[0xff], 6, FLAGS); // push
        b.push(0x9d); // popfq
        move_all(&mut b, 0x8b);
        b.extend(instruction);
        let resume = CODE + b.len() as u64;
        move_all(&mut b, 0x89);
        memory(&mut b, &[0x48, 0x8b], 4, STACK);
        b.push(0x9c); // pushfq
        memory(&mut b, &[0x8f], 0, FLAGS); // pop
        memory(&mut b, &[0x48, 0x0f, 0xae], 0, IMAGE);
        memory(&mut b, &[0x48, 0x0f, 0xae], 1, OURS);
        b.extend([0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3]);
        self.write(CODE, &b);
        self.write(CONTEXT + RESUME, &resume.to_le_bytes());
    }

    /// Runs what was prepared; true if the instruction raised #XM.
    pub fn run(&self, s: &mut State) -> bool {
        for (i, r) in s.gpr.iter().enumerate() {
            self.write(CONTEXT + i as u64 * 8, &r.to_le_bytes());
        }
        self.write(CONTEXT + FLAGS, &(s.flags | 0x202).to_le_bytes());
        self.write(CONTEXT + RAISED, &[0; 8]);
        let mut image = [0u8; 512];
        image[..2].copy_from_slice(&0x37fu16.to_le_bytes());
        image[2..4].copy_from_slice(&(u16::from(s.top) << 11).to_le_bytes());
        image[4] = s.valid;
        image[24..28].copy_from_slice(&s.mxcsr.to_le_bytes());
        for i in 0..8 {
            // The image has stack order.
            let (mant, se) = s.st[(i + usize::from(s.top)) & 7];
            image[32 + 16 * i..40 + 16 * i].copy_from_slice(&mant.to_le_bytes());
            image[40 + 16 * i..42 + 16 * i].copy_from_slice(&se.to_le_bytes());
        }
        for (i, v) in s.xmm.iter().enumerate() {
            image[160 + 16 * i..176 + 16 * i].copy_from_slice(v);
        }
        self.write(CONTEXT + IMAGE, &image);
        // SAFETY: the code keeps the C ABI: it saves and restores the callee's registers, the stack pointer and the x87 and
        // SSE state, and the instruction in the middle touches registers, flags and DATA only.
        unsafe { std::mem::transmute::<usize, extern "C" fn()>(CODE as usize)() };
        self.read(CONTEXT + IMAGE, &mut image);
        let half = |at: usize| u16::from_le_bytes([image[at], image[at + 1]]);
        for i in (0..16).filter(|i| *i != 4) {
            s.gpr[i] = self.word(CONTEXT + i as u64 * 8);
        }
        s.flags = self.word(CONTEXT + FLAGS) & super::FLAGS;
        s.top = (half(2) >> 11 & 7) as u8;
        s.valid = image[4];
        s.mxcsr = u32::from(half(24));
        for i in 0..8 {
            let mut mant = [0; 8];
            mant.copy_from_slice(&image[32 + 16 * i..40 + 16 * i]);
            s.st[(i + usize::from(s.top)) & 7] = (u64::from_le_bytes(mant), half(40 + 16 * i));
        }
        for (i, v) in s.xmm.iter_mut().enumerate() {
            v.copy_from_slice(&image[160 + 16 * i..176 + 16 * i]);
        }
        self.word(CONTEXT + RAISED) != 0
    }
}
