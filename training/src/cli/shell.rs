//! `tsm2 completions` and `tsm2 manual`: what a shell and `man` show, from the definition of the command line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use super::common::at;

/// Print the completions of a shell.
#[derive(Args)]
#[command(after_long_help = "Examples:
  tsm2 completions bash > ~/.local/share/bash-completion/completions/tsm2
  tsm2 completions zsh > ~/.zfunc/_tsm2
  tsm2 completions fish > ~/.config/fish/completions/tsm2.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    /// Prints.
    pub fn run(self, mut command: Command, out: &mut impl Write) -> anyhow::Result<()> {
        let mut text = Vec::new();
        generate(self.shell, &mut command, "tsm2", &mut text);
        Ok(out.write_all(&text)?)
    }
}

/// Write a manual page for tsm2 and for each of its commands.
#[derive(Args)]
#[command(after_long_help = "Example:
  tsm2 manual ~/.local/share/man/man1 && man tsm2-report")]
pub struct Manual {
    /// Folder for the pages
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Manual {
    /// Writes the pages.
    pub fn run(self, command: Command, out: &mut impl Write) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let pages = write(&command, &self.folder).map_err(at(&self.folder))?;
        writeln!(out, "{pages} pages in {}", self.folder.display())?;
        Ok(())
    }
}

/// The page of a command and those of its subcommands; how many.
fn write(command: &Command, folder: &Path) -> io::Result<usize> {
    let page = Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    std::fs::write(folder.join(page.get_filename()), text)?;
    let pages = command.get_subcommands().map(|command| write(command, folder));
    Ok(1 + pages.sum::<io::Result<usize>>()?)
}
