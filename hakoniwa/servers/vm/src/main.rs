//! Pager and task manager: loads programs from the boot archive page by page as they are touched, lends files to
//! tasks, and tells who started a task how it ended.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use hakoniwa_abi::archive::Archive;
use hakoniwa_abi::elf::Program;
use hakoniwa_abi::message::Grant;
use hakoniwa_abi::{Access, Error, Message, PAGE, Received, TaskId, label, layout};
use hakoniwa_runtime::vm::{FAILED, FILE, KILL, MEET, PING, SPAWN, WAIT};
use hakoniwa_runtime::{self as rt, load, println};

hakoniwa_runtime::entry!(main);

struct Child {
    id: TaskId,
    name: u64,
    starter: TaskId,
    program: Program<'static>,
    waiter: Option<TaskId>,
    ended: Option<u64>,
}

struct Manager {
    archive: Archive<'static>,
    base: *const u8,
    children: Vec<Child>,
}

/// What to do after a message.
enum Answer {
    /// Reply.
    With(Message),
    /// Reply with a page.
    Lend(Message, Grant),
    /// Nobody waits, or not yet.
    Later,
}

impl From<Error> for Answer {
    fn from(error: Error) -> Answer {
        Answer::With(Message::new(FAILED, &[error as u64]))
    }
}

fn main(length: u64) -> u64 {
    let bytes = load::archive(length);
    let Some(archive) = Archive::new(bytes) else {
        println!("no archive");
        return 1;
    };
    let mut manager = Manager { archive, base: bytes.as_ptr(), children: Vec::new() };
    let mut next = rt::receive();
    loop {
        let Ok(received) = next else {
            next = rt::receive();
            continue;
        };
        // A reply can fail because the task is gone: then there is nobody to tell.
        next = match manager.handle(&received) {
            Answer::With(message) => match rt::reply_receive(received.sender, message) {
                Err(_) => rt::receive(),
                next => next,
            },
            Answer::Lend(message, grant) => {
                let _ = rt::reply_with(received.sender, message, grant);
                rt::receive()
            }
            Answer::Later => rt::receive(),
        };
    }
}

impl Manager {
    fn handle(&mut self, received: &Received) -> Answer {
        let words = received.message.words;
        match received.message.label {
            label::PAGE_FAULT => self.fault(received.sender, words[0], words[2]),
            label::EXCEPTION => Answer::With(Message::default()),
            label::EXITED => self.ended(received.sender, words[0]),
            SPAWN => self.spawn(received.sender, words).unwrap_or_else(Answer::from),
            WAIT => self.wait(received.sender, TaskId(words[0] as u32)),
            KILL => self.kill(received.sender, TaskId(words[0] as u32)),
            FILE => self.file(words[0], words[1]),
            MEET => self.meet(received.sender, words[0]).unwrap_or_else(Answer::from),
            PING => Answer::With(Message::new(PING, &words)),
            _ => Answer::from(Error::BadArgument),
        }
    }

    fn child(&mut self, id: TaskId) -> Option<&mut Child> {
        self.children.iter_mut().find(|c| c.id == id)
    }

    /// A page that is absent and belongs to the program appears; anything else ends the task.
    fn fault(&mut self, id: TaskId, address: u64, error: u64) -> Answer {
        let absent = error & 1 == 0;
        let program = self.child(id).map(|c| c.program);
        let mapped = program.filter(|_| absent).map(|program| load::page(id, &program, address));
        match mapped {
            Some(Ok(true)) => Answer::With(Message::new(label::RESUME, &[])),
            Some(Err(why)) => {
                println!("no page for a task: {why:?}");
                Answer::With(Message::default())
            }
            _ => Answer::With(Message::default()),
        }
    }

    fn spawn(&mut self, starter: TaskId, words: [u64; 7]) -> Result<Answer, Error> {
        let [name, priority, rights, quota, argument, ..] = words;
        let (text, file) = self.find(name).ok_or(Error::BadArgument)?;
        let program = Program::new(file).ok_or(Error::BadArgument)?;
        let id = rt::task_create(TaskId::KERNEL, priority, rights, quota, text)?;
        self.children.push(Child { id, name, starter, program, waiter: None, ended: None });
        rt::task_start(id, program.entry, layout::STACK_TOP, argument)?;
        Ok(Answer::With(Message::new(SPAWN, &[id.0.into()])))
    }

    fn find(&self, name: u64) -> Option<(&'static str, &'static [u8])> {
        self.archive.files().find(|(n, _)| rt::name_word(n) == name)
    }

    fn ended(&mut self, id: TaskId, code: u64) -> Answer {
        // It exists: it just told its end, and only its creator destroys it.
        let _ = rt::task_destroy(id);
        if let Some(index) = self.children.iter().position(|c| c.id == id) {
            match self.children[index].waiter {
                Some(waiter) => {
                    self.children.swap_remove(index);
                    // The waiter may have ended meanwhile.
                    let _ = rt::reply(waiter, Message::new(WAIT, &[code]));
                }
                None => self.children[index].ended = Some(code),
            }
        }
        Answer::Later
    }

    fn wait(&mut self, starter: TaskId, id: TaskId) -> Answer {
        let Some(index) = self.children.iter().position(|c| c.id == id && c.starter == starter) else {
            return Answer::from(Error::BadTask);
        };
        match self.children[index].ended {
            Some(code) => {
                self.children.swap_remove(index);
                Answer::With(Message::new(WAIT, &[code]))
            }
            None => {
                self.children[index].waiter = Some(starter);
                Answer::Later
            }
        }
    }

    fn kill(&mut self, starter: TaskId, id: TaskId) -> Answer {
        let Some(index) = self.children.iter().position(|c| c.id == id && c.starter == starter) else {
            return Answer::from(Error::BadTask);
        };
        self.children.swap_remove(index);
        // A task that ended by itself was destroyed then.
        let _ = rt::task_destroy(id);
        Answer::With(Message::new(KILL, &[]))
    }

    /// Only tasks that one task has started know each other.
    fn meet(&self, id: TaskId, name: u64) -> Result<Answer, Error> {
        let running = |c: &&Child| c.ended.is_none();
        let caller = self.children.iter().filter(running).find(|c| c.id == id).ok_or(Error::Denied)?;
        let mut others = self.children.iter().filter(running).filter(|c| c.id != id);
        let found = others.find(|c| c.name == name && c.starter == caller.starter).ok_or(Error::BadTask)?;
        rt::task_allow(id, found.id)?;
        rt::task_allow(found.id, id)?;
        Ok(Answer::With(Message::new(MEET, &[found.id.0.into()])))
    }

    fn file(&self, name: u64, page: u64) -> Answer {
        match self.find(name) {
            Some((_, contents)) if page < (contents.len() as u64).div_ceil(PAGE) => {
                let offset = contents.as_ptr() as u64 - self.base as u64;
                let address = layout::ARCHIVE + offset + page * PAGE;
                let grant = Grant { address, access: Access::READ };
                Answer::Lend(Message::new(FILE, &[contents.len() as u64]), grant)
            }
            _ => Answer::from(Error::BadArgument),
        }
    }
}
